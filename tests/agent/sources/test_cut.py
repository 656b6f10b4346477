from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.sources.cut import Cutter, cutter


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def feed(cut: Cutter, parts: list[bytes]) -> list[bytes]:
    out: list[bytes] = []
    read = 0
    for part in parts:
        found = cut.feed(part)
        read += len(part)
        assert len(found) == len(cut.ends)
        assert all(0 < end <= len(part) for end in cut.ends)
        out += found
        assert 0 <= cut.held <= read
    return out


LINES = st.lists(st.binary(max_size=40).map(lambda line: line.replace(b"\n", b"")), max_size=10)


@given(LINES, st.lists(st.integers(0, 400), max_size=6), st.booleans())
def test_lines_are_the_same_however_they_are_cut(lines: list[bytes], cuts: list[int], ended: bool) -> None:
    data = b"\n".join(lines) + (b"\n" if ended else b"")
    cut = cutter("lines", 20)
    found = feed(cut, pieces(data, cuts))
    last = data.rpartition(b"\n")[2]
    assert cut.held == (0 if cut.skipping else len(last))
    found += cut.rest()
    whole = [line for line in data.split(b"\n")[:-1] if line.strip() and len(line) < 20]
    whole += [last] if last.strip() and len(last) < 20 else []
    assert found == [line.rstrip(b"\r") for line in whole]
    assert cut.skipped == sum(len(line) >= 20 for line in data.split(b"\n"))


def test_a_gigabyte_without_an_end_takes_no_room() -> None:
    for framing, start in (("lines", b"x"), ("objects", b'{"x":"')):
        cut = cutter(framing, 1000)
        assert cut.feed(start) == []
        for _ in range(2000):
            assert cut.feed(b"y" * 1000) == []
            assert len(getattr(cut, "_part")) <= 1000  # noqa: B009 both have one
        assert cut.feed(b'"}\n{"a":1}\n') == [b'{"a":1}']
        assert cut.skipped == 1


def test_the_rest_of_a_long_line_is_passed_over_after_a_restart() -> None:
    cut = cutter("lines", 10, skipping=True)
    assert cut.feed(b"rest of it\nnext\n") == [b"next"]
    assert cut.skipped == 0


OBJECT = st.recursive(
    st.dictionaries(st.text(max_size=3), st.none() | st.text(alphabet='{}[]"\\x ', max_size=6), max_size=3),
    lambda inner: st.dictionaries(st.text(max_size=3), inner | st.lists(inner, max_size=2), max_size=2),
    max_leaves=4,
)


@given(st.lists(OBJECT, max_size=5), st.lists(st.integers(0, 400), max_size=8), st.sampled_from([None, 1]))
def test_objects_are_the_same_however_they_are_cut(objects: list[object], cuts: list[int], indent: int | None) -> None:
    data = json.dumps(objects, indent=indent).encode()
    cut = cutter("objects", 10_000)
    assert [json.loads(part) for part in feed(cut, pieces(data, cuts))] == objects
    assert (cut.held, cut.skipped, cut.rest()) == (0, 0, [])


def test_an_object_too_long_is_passed_over() -> None:
    cut = cutter("objects", 12)
    long = b'{"a":"' + b"}" * 20 + b'"}'
    assert feed(cut, [b"[" + long[:9], long[9:] + b',{"b":1}', b"]"]) == [b'{"b":1}']
    assert cut.skipped == 1
    assert feed(cut, [long + b'{"c":2}']) == [b'{"c":2}']
    assert cut.skipped == 2


def test_half_an_object_is_none() -> None:
    cut = cutter("objects", 100)
    assert cut.feed(b'[{"a":1},{"b":') == [b'{"a":1}']
    assert cut.held == 5
    assert cut.rest() == []
    assert (cut.held, cut.skipped) == (0, 1)
    assert cut.feed(b'{"c":3}') == [b'{"c":3}']


@given(st.sampled_from(["lines", "objects"]), st.lists(st.binary(max_size=60), max_size=10))
@pytest.mark.parametrize("limit", [1, 8, 1000])
def test_any_bytes_are_bounded(limit: int, framing: str, parts: list[bytes]) -> None:
    cut = cutter(framing, limit)
    for line in [*feed(cut, parts), *cut.rest()]:
        assert len(line) <= limit
