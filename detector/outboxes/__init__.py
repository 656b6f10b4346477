"""The logs that alerts can go to."""
