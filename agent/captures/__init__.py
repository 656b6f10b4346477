"""The packet sources, one module each."""
