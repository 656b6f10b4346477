"""Benchmarks: speed and memory beside peers, measured in one run."""
