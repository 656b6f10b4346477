"""Counts as a sentence has them."""

from __future__ import annotations


def plural(number: int, thing: str, things: str = "") -> str:
    """`1 fault`, `2 faults`, `1,234 faults`. things: where more of them take more than an s."""
    return f"{number:,} {thing if number == 1 else things or thing + 's'}"
