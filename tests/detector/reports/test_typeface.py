"""The fonts that travel with the reports."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from fpdf import FPDF

from detector.reports.layout import Span
from detector.reports.typeface import DEVANAGARI, LATIN, MISSING, Typeface


@pytest.fixture(scope="module")
def face() -> Iterator[Typeface]:
    pdf = FPDF()
    pdf.add_page()
    with closing(Typeface(pdf)) as face:
        yield face


def test_each_letter_has_a_font(face: Typeface) -> None:
    text = "Aé → ≥ … – “x” ₹ ▢ ☐ ☒ × • ŵ Ω Ж"
    assert face.dress(Span(text)) == [Span(text, face=LATIN)]
    assert face.missing == 0


def test_devanagari_is_dressed_apart(face: Typeface) -> None:
    assert [(span.text, span.face) for span in face.dress(Span("AIIMS दिल्ली."))] == [
        ("AIIMS ", LATIN),
        ("दिल्ली", DEVANAGARI),
        (".", LATIN),
    ]


def test_what_no_font_has_is_a_box_and_counted(face: Typeface) -> None:
    before = face.missing
    assert face.dress(Span("தமிழ்")) == [Span(MISSING * 5, face=LATIN)]
    assert face.missing == before + 5


def test_width(face: Typeface) -> None:
    wide, narrow = (face.width(Span(text, face=LATIN), 10) for text in ("WWWW", "iiii"))
    assert wide > 2 * narrow > 0
    assert face.width(Span("WWWW", bold=True, face=LATIN), 10) > wide
    assert face.width(Span("क्षेत्र", face=DEVANAGARI), 20) == pytest.approx(2 * face.width(Span("क्षेत्र", face=DEVANAGARI), 10))
