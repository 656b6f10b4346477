"""A report as Markdown: what was watched can neither shape it nor hide in it, and what a person must fill in is counted.

Only what `pdf` can draw is written: headings, paragraphs, lists, tables of two or more columns, **bold** and rules.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

TO_FILL = "▢ TO FILL:"
MAX_TEXT = 600
"""Letters of one text that was watched; of more, the number is told."""
UNKNOWN = "not known to nigrani"

_MARKUP = re.compile(
    r"[\\`*\[\]<|~&$]|(?<!\w)_|_(?!\w)|^[-+=](?=[\s=-]|$)|^[#>]|(?<=^\d)[.)]|(?<=^\d\d)[.)]|:(?=//)|(?<=\bwww)\."
)
"""What Markdown would make something of: also lists, and addresses that viewers turn into links."""
_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Controls, formats (bidirectional overrides and zero widths), surrogates, private and unassigned letters, line ends."""
_INVISIBLE = frozenset(
    map(
        chr, (0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0, *range(0x180B, 0x1810), *range(0xFE00, 0xFE10))
    )
) | frozenset(map(chr, range(0xE0100, 0xE01F0)))
"""Letters and marks of other categories that show nothing."""
_JOINERS = "\u200c\u200d"
"""Formats that Indian scripts are written with."""
_DEVANAGARI = range(0x0900, 0x0980)
MAX_MARKS = 4
"""Combining marks on one letter; more are a way to draw over the lines around."""


class Document:
    """A report in the making."""

    def __init__(self, title: str) -> None:
        """title: the project's own words, as all that is not said to be escaped."""
        self.title = title
        self.waiting = 0
        """Fields that a person must fill in."""
        self._parts: list[str] = []

    def text(self) -> str:
        """The whole, with the number of fields that wait at the top."""
        return "\n\n".join([f"# {self.title}", self._waiting(), *self._parts]) + "\n"

    def heading(self, words: str, level: int = 2) -> None:
        """Begin a section."""
        self._parts.append(f"{'#' * level} {words}")

    def paragraph(self, words: str) -> None:
        """Add a paragraph."""
        self._parts.append(words)

    def bullets(self, lines: Iterable[str]) -> None:
        """Add a list, unless it is empty."""
        items = [f"- {line}" for line in lines]
        if items:
            self._parts.append("\n".join(items))

    def table(self, names: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Add a table."""
        lines = [_row(names), _row(["---"] * len(names)), *(_row(row) for row in rows)]
        self._parts.append("\n".join(lines))

    def fill(self, what: str) -> str:
        """A field that waits for a person; it counts."""
        self.waiting += 1
        return f"**{TO_FILL} {what}**"

    def known(self, value: str, what: str) -> str:
        """The value, escaped; or a field to fill in where there is none."""
        return escape(value) if value.strip() else self.fill(what)

    def _waiting(self) -> str:
        if not self.waiting:
            return "**DRAFT. No field waits for you. Read it, correct it, and send it yourself: nigrani sends nothing.**"
        fields = "1 field waits" if self.waiting == 1 else f"{self.waiting} fields wait"
        return (
            f"**DRAFT. {fields} for you**, each marked {TO_FILL[:-1]}. Read it all, correct it, and send it yourself: "
            "nigrani sends nothing."
        )


def escape(text: str, most: int = MAX_TEXT) -> str:
    """Text that was watched, in one line, as Markdown that says just this."""
    return _MARKUP.sub(r"\\\g<0>", clean(text, most))


def clean(text: str, most: int = MAX_TEXT) -> str:
    """The text in one line, with what cannot be seen, or turns the line around, shown as its code point."""
    cut = text[:most]
    shown = "".join(_letters(cut))
    shown = " ".join(shown.split())
    return shown if len(text) <= most else f"{shown} … ({len(text) - most:,} more letters)"


def _letters(text: str) -> Iterable[str]:
    marks = 0
    before = ""
    for letter in text:
        category = unicodedata.category(letter)
        marks = marks + 1 if category in {"Mn", "Me"} else 0
        if letter in "\t\n\r\v\f":
            yield " "
        elif letter in _JOINERS and before and ord(before) in _DEVANAGARI:
            yield letter
        elif category in _CATEGORIES or letter in _INVISIBLE or letter == TO_FILL[0] or marks > MAX_MARKS:
            yield f"(U+{ord(letter):04X})"
        else:
            yield letter
        before = letter


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
