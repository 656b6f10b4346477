"""Rows under a heading, for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

Cell = str | int | None


def lines(head: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Iterator[str]:
    """The table's lines: numbers to the right, with thousands apart, and `–` for what is not known."""
    body = [list(row) for row in rows]
    right = [any(isinstance(row[at], int) for row in body) for at in range(len(head))]
    texts = [list(head), *([_text(cell) for cell in row] for row in body)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for row in texts:
        cells = zip(row, widths, right, strict=True)
        yield "  ".join(cell.rjust(width) if to_right else cell.ljust(width) for cell, width, to_right in cells).rstrip()


def _text(cell: Cell) -> str:
    if cell is None:
        return "–"
    return f"{cell:,}" if isinstance(cell, int) else cell
