from __future__ import annotations

from nigrani.service.table import lines


def test_texts_to_the_left_and_numbers_to_the_right() -> None:
    rows = [("a", 1, "x"), ("bcd", 1234567, "yz"), ("e", None, "")]
    assert list(lines(("name", "count", "last"), rows)) == [
        "name      count  last",
        "a             1  x",
        "bcd   1,234,567  yz",
        "e             –",
    ]


def test_a_heading_alone() -> None:
    assert list(lines(("name", "count"), [])) == ["name  count"]
