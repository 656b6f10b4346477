"""The places where checkpoints can be kept."""
