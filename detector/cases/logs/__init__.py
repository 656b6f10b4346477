"""The logs that findings can come from."""
