"""A report as Markdown: hostile text says just what it is."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.reports.document import MAX_TEXT, TO_FILL, Document, clean, escape
from detector.reports.layout import blocks, runs

HOSTILE = st.text(st.characters(exclude_categories=()), max_size=200) | st.sampled_from(
    [
        "**x**",
        "| a | b |",
        "<script>",
        "[a](http://b)",
        "# h",
        "- x",
        "1. x",
        "\u202egnp.exe",
        "a\u0301" * 9,
        "\x1b[2J",
        "`" * 9,
    ]
)
IN_JSON = HOSTILE.map(lambda text: text.encode("utf-8", "replace").decode())
"""As a finding may have it: no JSON holds half a pair of surrogates."""


def test_it_counts_what_waits() -> None:
    document = Document("Title")
    assert "No field waits" in document.text()
    document.paragraph(document.fill("who"))
    assert "1 field waits for you" in document.text()
    document.table(("a", "b"), [("x", document.known("", "what")), ("y", document.known("known", "what"))])
    text = document.text()
    assert "2 fields wait for you" in text
    assert text.count(TO_FILL) == 2 == document.waiting
    assert "| y | known |" in text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a*b`c", r"a\*b\`c"),
        ("query_burst", "query_burst"),
        ("_x_ y_", r"\_x\_ y\_"),
        ("# h", r"\# h"),
        ("> q", r"\> q"),
        ("ADT^A40 {x} #12", "ADT^A40 {x} #12"),
        ("+91 44", "+91 44"),
        ("a|b", r"a\|b"),
        ("<b>&amp;", r"\<b>\&amp;"),
        ("- item", r"\- item"),
        ("1. item", r"1\. item"),
        ("12) item", r"12\) item"),
        ("http://evil.test", r"http\://evil.test"),
        ("www.evil.test", r"www\.evil.test"),
        ("one\ntwo\tthree\u2028four", "one two three(U+2028)four"),
        ("\u202eevil", "(U+202E)evil"),
        ("in\u200bvisible\u2800\u3164", "in(U+200B)visible(U+2800)(U+3164)"),
        ("\x1b[31m", r"(U+001B)\[31m"),
        (f"{TO_FILL} forged", "(U+25A2) TO FILL: forged"),
        ("क्षेत्र दिल्ली", "क्षेत्र दिल्ली"),
        ("", ""),
    ],
)
def test_escape(text: str, shown: str) -> None:
    assert escape(text) == shown


def test_long_text_is_cut_and_said_so() -> None:
    assert clean("x" * (MAX_TEXT + 1234)) == "x" * MAX_TEXT + " … (1,234 more letters)"


def test_no_more_marks_than_a_letter_bears() -> None:
    assert clean("a" + "\u0301" * 6) == "a" + "\u0301" * 4 + "(U+0301)" * 2


@given(HOSTILE)
def test_what_is_shown_can_be_seen(text: str) -> None:
    shown = clean(text)
    assert not any(unicodedata.category(letter) in {"Cc", "Cs", "Cn", "Co", "Zl", "Zp"} for letter in shown)
    assert not any(
        unicodedata.bidirectional(letter) in {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
        for letter in shown
    )


@given(HOSTILE, HOSTILE)
def test_a_table_keeps_its_shape_and_its_words(one: str, two: str) -> None:
    document = Document("Title")
    document.table(("Field", "Answer"), [(escape(one), escape(two))])
    document.paragraph(f"A: {escape(one)}")
    document.bullets([f"B: {escape(two)}"])
    found = list(blocks(document.text()))
    assert [block.kind for block in found] == ["h1", "text", "table", "text", "item"]
    table, paragraph, item = found[2:]
    assert [len(row) for row in table.rows] == [2, 2]
    assert [said(cell) for cell in table.rows[1]] == [clean(one).strip(), clean(two).strip()]
    assert said(paragraph.text) == f"A: {clean(one)}".rstrip()
    assert said(item.text) == f"B: {clean(two)}".rstrip()
    assert not any(span.bold for span in runs(paragraph.text))


def said(markdown: str) -> str:
    return "".join(span.text for span in runs(markdown)).rstrip()
