"""What a report's Markdown consists of, and how its words fall into lines; nothing here knows of PDF."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from detector.reports.document import TO_FILL


class Block(NamedTuple):
    """A heading, a paragraph, one item of a list, or a table."""

    kind: str
    """h1, h2, h3, text, item or table."""
    text: str = ""
    rows: tuple[tuple[str, ...], ...] = ()
    """Of a table: its header first; all of one length."""


class Span(NamedTuple):
    """Letters that are drawn alike."""

    text: str
    bold: bool = False
    fill: bool = False
    """Whether they are of a field that waits for a person."""
    face: str = ""
    """The family of fonts."""


Line = list[Span]
Measure = Callable[[Span], float]
Dress = Callable[[Span], Sequence[Span]]
"""Splits letters by the family that has them."""

MAX_COLUMNS = 8
_HEADING = re.compile(r"(#{1,3}) (.*)")
_BAR = re.compile(r"(?<!\\)\|")
"""`document` puts a space before each, and a backslash before any other."""
_MARK = re.compile(r"\\([!-/:-@\[-`{-~])|(\*\*)|`")


def blocks(markdown: str) -> Iterator[Block]:
    """The blocks of what `document` writes; of other Markdown a fair likeness."""
    table: list[tuple[str, ...]] = []
    for line in (*markdown.splitlines(), ""):
        if line.startswith("|"):
            table.append(_cells(line))
            continue
        if table:
            yield _table(table)
            table = []
        heading = _HEADING.fullmatch(line)
        if heading:
            yield Block(f"h{len(heading[1])}", heading[2])
        elif line.startswith("- "):
            yield Block("item", line[2:])
        elif line.strip():
            yield Block("text", line)


def _cells(line: str) -> tuple[str, ...]:
    inner = line.strip()[1:]
    cells = [cell.strip() for cell in _BAR.split(inner)]
    return tuple(cells[:-1] if len(cells) > 1 and not cells[-1] else cells)[:MAX_COLUMNS]


def _table(lines: list[tuple[str, ...]]) -> Block:
    rows = [row for row in lines if not all(cell.strip(":-") == "" and cell for cell in row)]
    width = max((len(row) for row in rows), default=1)
    return Block("table", rows=tuple(row + ("",) * (width - len(row)) for row in rows))


def runs(text: str) -> list[Span]:
    """Inline Markdown: what is **bold**, and what waits for a person; a backslash's letter stands for itself.

    What is code is drawn as all else.
    """
    found: list[Span] = []
    parts = [""]
    place = 0
    for mark in _MARK.finditer(text):
        parts[-1] += text[place : mark.start()]
        if mark[2]:
            parts.append("")
        else:
            parts[-1] += mark[1] or ""
        place = mark.end()
    parts[-1] += text[place:]
    for number, part in enumerate(parts):
        if part:
            bold = number % 2 == 1
            found.append(Span(part, bold=bold, fill=bold and part.startswith(TO_FILL)))
    return found


def flow(spans: Sequence[Span], width: float, measure: Measure, dress: Dress) -> list[Line]:
    """The lines that the spans fall into; a word wider than a line is cut."""
    lines: list[Line] = [[]]
    used = 0.0
    for word, spaced in _words(spans):
        dressed = [piece for span in word for piece in dress(span)]
        space = Span(" ", word[0].bold, word[0].fill and bool(lines[-1]) and lines[-1][-1].fill)
        space = dress(space)[0]
        gap = measure(space) if spaced and lines[-1] else 0.0
        wide = sum(measure(piece) for piece in dressed)
        if lines[-1] and used + gap + wide > width:
            lines.append([])
            used = gap = 0.0
        if gap:
            lines[-1].append(space)
        used += gap
        for piece in dressed if wide <= width else _letters(dressed):
            step = measure(piece)
            if lines[-1] and wide > width and used + step > width:
                lines.append([])
                used = 0.0
            lines[-1].append(piece)
            used += step
    return [_joined(line) for line in lines]


def _words(spans: Sequence[Span]) -> Iterator[tuple[list[Span], bool]]:
    """Each word, which may change its style within, and whether a space is before it."""
    word: list[Span] = []
    spaced = False
    for span in spans:
        for number, part in enumerate(span.text.split(" ")):
            if number:
                if word:
                    yield word, spaced
                word, spaced = [], True
            if part:
                word.append(span._replace(text=part))
    if word:
        yield word, spaced


def _letters(pieces: Sequence[Span]) -> Iterator[Span]:
    for piece in pieces:
        yield from (piece._replace(text=letter) for letter in piece.text)


def _joined(line: Line) -> Line:
    """Neighbours that are drawn alike, in one."""
    joined: Line = []
    for span in line:
        if joined and joined[-1][1:] == span[1:]:
            joined[-1] = joined[-1]._replace(text=joined[-1].text + span.text)
        else:
            joined.append(span)
    return joined
