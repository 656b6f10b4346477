"""PDF, as poppler reads it."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.reports import pdf
from detector.reports.document import Document, escape
from tests.detector.reports.made import WHEN

needs_poppler = pytest.mark.skipif(shutil.which("pdftotext") is None, reason="poppler-utils reads the PDF")


def report(rows: int = 3) -> str:
    document = Document("Incident report: case 17")
    document.heading("Who")
    document.table(
        ("Field", "Answer"), [("Name", document.fill("your name")), ("Hospital", escape("AIIMS — “दिल्ली” | ₹ 5"))]
    )
    document.bullets(["☒ (xx) AI", "☐ (i) scan"])
    document.table(("When", "What"), [(f"row {number}", escape(f"words {number} " * 9)) for number in range(rows)])
    return document.text()


def read(content: bytes, path: Path, *options: str) -> str:
    path.write_bytes(content)
    command = ["pdftotext", "-layout", *options, str(path), "-"]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


@needs_poppler
def test_what_is_on_the_pages(tmp_path: Path) -> None:
    text = read(pdf.render(report(), WHEN), tmp_path / "r.pdf")
    for words in (
        "Incident report: case 17",
        "▢ TO FILL: your name",
        "AIIMS — “",
        "₹ 5",
        "☒ (xx) AI",
        "page 1 of 1",
        "DRAFT",
    ):
        assert words in text
    assert "दिल्ली" in text.replace(" ", "")  # the shaped signs are set apart when they are read back
    assert "**" not in text


@needs_poppler
def test_a_long_story_has_pages_and_each_says_draft_and_its_number(tmp_path: Path) -> None:
    content = pdf.render(report(300), WHEN)
    pages = read(content, tmp_path / "r.pdf").split("\f")[:-1]
    assert len(pages) > 5
    for number, page in enumerate(pages, 1):
        assert f"page {number} of {len(pages)}" in page
        assert "DRAFT" in page
    assert all("When" in page for page in pages[1:])  # the table's header again
    told = [number for page in pages for number in re.findall(r"row (\d+)", page)]
    assert told == [str(number) for number in range(300)]


@needs_poppler
def test_a_row_longer_than_a_page_is_told_whole(tmp_path: Path) -> None:
    document = Document("Title")
    document.table(("Field", "Answer"), [("long", " ".join(f"w{number:04}" for number in range(3000)))])
    text = read(pdf.render(document.text(), WHEN), tmp_path / "r.pdf")
    assert re.findall(r"w(\d{4})", text) == [f"{number:04}" for number in range(3000)]


def test_the_same_bytes_whenever_it_is_drawn() -> None:
    first = pdf.render(report(), WHEN)
    time.sleep(1.1)
    assert pdf.render(report(), WHEN) == first
    assert pdf.render(report(), WHEN + timedelta(days=1)) != first
    assert first.startswith(b"%PDF-")


@needs_poppler
def test_letters_without_a_font_are_told(tmp_path: Path) -> None:
    text = read(pdf.render("# A\n\nதமிழ்\n\nend\n", WHEN), tmp_path / "r.pdf")
    assert "5 letters have no font in this PDF" in text
    assert "□□□□□" in text


def test_too_much_is_refused() -> None:
    with pytest.raises(ValueError, match="letters are no report"):
        pdf.render("x" * (pdf.MAX_MARKDOWN + 1))


@settings(max_examples=8)
@given(st.text(max_size=400), st.text(st.characters(exclude_categories=()), max_size=120))
def test_any_text_is_drawn(markdown: str, hostile: str) -> None:
    assert pdf.render(markdown, WHEN).startswith(b"%PDF-")
    document = Document("Title")
    document.table(("a", "b", "c"), [(escape(hostile),) * 3])
    assert pdf.render(document.text(), WHEN).startswith(b"%PDF-")
