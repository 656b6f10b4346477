"""The fonts that travel with the reports: which of them has a letter, and how wide it is."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

from fpdf import FPDF
from fpdf.fonts import TTFFont

from detector.reports.layout import Span
from nigrani.service.data import data_folder

FOLDER = Path("reports", "fonts")
"""In the folder of the configuration."""
LATIN, DEVANAGARI = "DejaVu", "NotoDevanagari"
FILES = {
    (LATIN, ""): "DejaVuSans.ttf",
    (LATIN, "B"): "DejaVuSans-Bold.ttf",
    (DEVANAGARI, ""): "NotoSansDevanagari-Regular.ttf",
    (DEVANAGARI, "B"): "NotoSansDevanagari-Bold.ttf",
}
POINT = 25.4 / 72
"""Millimetres."""
MISSING = "□"
"""Drawn for a letter that no font has."""
_INDIAN = (*range(0x0900, 0x0980), 0x200C, 0x200D, 0x25CC)


class Typeface:
    """The fonts of one PDF."""

    def __init__(self, pdf: FPDF) -> None:
        self._pdf = pdf
        self._fonts: dict[tuple[str, str], TTFFont] = {}
        self.missing = 0
        """Letters that were asked for and that no font has."""
        folder = data_folder("config") / FOLDER
        for (family, style), name in FILES.items():
            pdf.add_font(family, style, folder / name)
            font = pdf.fonts[family.lower() + style]
            assert isinstance(font, TTFFont)  # noqa: S101 - what add_font makes of a TrueType file
            self._fonts[family, style] = font
        self._shapes = importlib.util.find_spec("uharfbuzz") is not None

    def dress(self, span: Span) -> list[Span]:
        """The span in pieces of one family each; a letter that no font has is drawn as a box, and counted."""
        return list(self._dressed(span))

    def _dressed(self, span: Span) -> Iterator[Span]:
        for family, letters in groupby(span.text, self._family):
            text = "".join(letters)
            if family:
                yield span._replace(text=text, face=family)
            else:
                self.missing += len(text)
                yield span._replace(text=MISSING * len(text), face=LATIN)

    def _family(self, letter: str) -> str:
        """Devanagari is drawn by a shaping engine, or not at all: unshaped, its signs stand in the wrong places."""
        code = ord(letter)
        if code in _INDIAN:
            return DEVANAGARI if self._shapes and code in self._fonts[DEVANAGARI, ""].cmap else ""
        return LATIN if code in self._fonts[LATIN, ""].cmap else ""

    def width(self, span: Span, size: float) -> float:
        """Millimetres, at so many points."""
        style = "B" if span.bold else ""
        if span.face == DEVANAGARI:
            with self._shaping(style, size):
                return float(self._pdf.get_string_width(span.text))
        widths = self._fonts[LATIN, style].cw
        return sum(widths[ord(letter)] for letter in span.text) * size / 1000 * POINT

    def draw(self, x: float, baseline: float, span: Span, size: float) -> None:
        """Put the span on the page, from x on, in millimetres."""
        style = "B" if span.bold else ""
        if span.face == DEVANAGARI:
            with self._shaping(style, size):
                self._pdf.set_xy(x, baseline - 0.3 * size * POINT)
                self._pdf.cell(w=self._pdf.get_string_width(span.text), h=0, text=span.text)
        else:
            self._pdf.set_font(LATIN, style, size)
            self._pdf.text(x, baseline, span.text)

    def close(self) -> None:
        """Let go of the fonts' files."""
        for font in self._fonts.values():
            font.ttfont.close()

    @contextmanager
    def _shaping(self, style: str, size: float) -> Iterator[None]:
        self._pdf.set_font(DEVANAGARI, style, size)
        self._pdf.set_text_shaping(use_shaping_engine=True)
        try:
            yield
        finally:
            self._pdf.set_text_shaping(use_shaping_engine=False)
