"""Blocks, and words in lines."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from detector.reports.document import TO_FILL
from detector.reports.layout import Block, Span, blocks, flow, runs


def test_blocks() -> None:
    text = "# One\n\n## Two\n\nwords\n\n- a\n- b\n\n| F | A |\n| --- | --- |\n| x | y \\| z |\n\nend\n"
    assert list(blocks(text)) == [
        Block("h1", "One"),
        Block("h2", "Two"),
        Block("text", "words"),
        Block("item", "a"),
        Block("item", "b"),
        Block("table", rows=(("F", "A"), ("x", "y \\| z"))),
        Block("text", "end"),
    ]


def test_runs() -> None:
    assert runs(r"a **b** \*c\* `d`") == [Span("a "), Span("b", bold=True), Span(" *c* d")]
    assert runs(f"**{TO_FILL} name**") == [Span(f"{TO_FILL} name", bold=True, fill=True)]


def lines(text: str, width: float) -> list[str]:
    found = flow(runs(text), width, lambda span: float(len(span.text)), lambda span: [span])
    return ["".join(span.text for span in line) for line in found]


def test_flow() -> None:
    assert lines("one two three", 7) == ["one two", "three"]
    assert lines("one two three", 100) == ["one two three"]
    assert lines("a longerthanthat b", 5) == ["a", "longe", "rthan", "that", "b"]
    assert lines("", 5) == [""]
    assert lines("a**b**c d", 3) == ["abc", "d"]


@given(st.text("ab *\\|", max_size=80), st.integers(1, 12))
def test_no_line_is_too_wide_and_no_letter_is_lost(text: str, width: int) -> None:
    found = lines(text, width)
    assert all(len(line) <= width for line in found)
    assert "".join(found).replace(" ", "") == "".join(span.text for span in runs(text)).replace(" ", "")


@given(st.text(max_size=300))
def test_any_markdown_is_taken(text: str) -> None:
    for block in blocks(text):
        assert block.kind in {"h1", "h2", "h3", "text", "item", "table"}
        assert len({len(row) for row in block.rows}) <= 1
        runs(block.text)
