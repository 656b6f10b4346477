from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.protocol import MAX_KINDS, Fact, Framer, Parser


def fields(fact: Fact) -> tuple[object, ...]:
    return fact.dataset, fact.when, fact.fields, fact.sums, fact.count


def test_the_first_of_its_kind_leaves_at_once_and_repeats_as_a_sum() -> None:
    parser = Parser()
    for when in (1, 2, 3):
        parser.note("x", when, {"action": "read"}, {"size": 10})
    parser.note("x", 4, {"action": "write"})
    assert [fields(fact) for fact in parser.fresh] == [
        ("x", 1, {"action": "read"}, {"size": 10}, 1),
        ("x", 4, {"action": "write"}, None, 1),
    ]
    assert [fields(fact) for fact in parser.cut()] == [("x", 3, {"action": "read"}, {"size": 20}, 2)]
    assert parser.cut() == []


def test_a_new_minute_tells_anew() -> None:
    parser = Parser()
    parser.note("x", 1, {"a": "1"})
    parser.cut()
    parser.note("x", 2, {"a": "1"})
    assert [fact.when for fact in parser.fresh] == [1, 2]


def test_a_dictionary_told_again_is_known_by_identity() -> None:
    parser = Parser()
    told: dict[str, object] = {"action": "read"}
    for when in range(5):
        parser.note("x", when, told, {"size": 1, "more": when} if when > 1 else {"size": 1})
    (rest,) = parser.cut()
    assert (rest.count, rest.when, rest.sums) == (4, 4, {"size": 4, "more": 9})
    assert [fact.sums for fact in parser.fresh] == [{"size": 1}]


def test_many_kinds_are_told_apart_as_few_are() -> None:
    parser = Parser()
    for _ in range(3):
        for number in range(20):
            parser.note("x", number, {"value": number}, {"size": number})
    assert [fact.fields["value"] for fact in parser.fresh] == list(range(20))
    assert [(fact.fields["value"], fact.count, fact.sums) for fact in parser.cut()] == [
        (number, 2, {"size": 2 * number}) for number in range(20)
    ]


def test_a_size_is_added_up_however_it_is_told() -> None:
    parser = Parser()
    kept: dict[str, object] = {"action": "read"}
    parser.note("x", 1, kept)
    parser.note_size("x", 2, kept, 5)
    parser.note("x", 3, kept, {"more": 1})
    parser.note_size("x", 4, kept, 6)
    parser.note_size("x", 5, {"action": "read"}, 7)
    assert [fact.sums for fact in parser.fresh] == [None]
    assert [(fact.when, fact.count, fact.sums) for fact in parser.cut()] == [(5, 4, {"size": 18, "more": 1})]


def test_different_kinds_are_bounded() -> None:
    parser = Parser()
    for number in range(MAX_KINDS + 10):
        parser.note("x", number, {"value": number})
    parser.note("x", 1, {"value": 0})
    assert (len(parser.fresh), parser.overflow) == (MAX_KINDS, 10)
    assert [fact.count for fact in parser.cut()] == [1]


def test_kinds_differ_by_dataset_names_and_values() -> None:
    parser = Parser()
    parser.note("x", 1, {"a": 1})
    parser.note("y", 1, {"a": 1})
    parser.note("x", 1, {"b": 1})
    parser.note("x", 1, {"a": 2})
    assert len(parser.fresh) == 4


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 9))))
def test_nothing_told_is_lost(acts: list[tuple[int, int]]) -> None:
    parser = Parser()
    for kind, size in acts:
        parser.note("x", 1, {"kind": kind}, {"size": size})
    facts = [*parser.fresh, *parser.cut()]
    assert sum(fact.count for fact in facts) + parser.overflow == len(acts)
    if not parser.overflow:
        assert sum((fact.sums or {}).get("size", 0) for fact in facts) == sum(size for _, size in acts)


def test_a_parser_must_say_what_it_reads() -> None:
    with pytest.raises(NotImplementedError):
        Parser.looks_like(b"", 1, 2)
    with pytest.raises(NotImplementedError):
        Parser().data(0, b"x", 1, 1)
    Parser().gap(0)


def size_of(header: bytes) -> int:
    if header[0] != 0x7E:
        raise ValueError("no header")
    return 3 + int.from_bytes(header[1:3], "big")


def message(body: bytes) -> bytes:
    return struct.pack(">BH", 0x7E, len(body)) + body


@given(st.lists(st.binary(max_size=60), max_size=8), st.lists(st.integers(1, 40), min_size=1), st.integers(3, 50))
def test_messages_are_cut_the_same_however_they_arrive(bodies: list[bytes], cuts: list[int], keep: int) -> None:
    whole = b"".join(map(message, bodies))
    framer = Framer(3, keep, size_of)
    found: list[tuple[bytes, int]] = []
    position = turn = 0
    while position < len(whole):
        piece = whole[position : position + cuts[turn % len(cuts)]]
        position += len(piece)
        turn += 1
        found += framer.feed(piece, len(piece))
        position += framer.skip
    assert found == [(message(body)[:keep], len(body) + 3) for body in bodies]


def test_a_lost_boundary_is_found_at_the_start_of_a_segment() -> None:
    framer = Framer(3, 16, size_of)
    framer.reset()
    assert framer.feed(b"middle of something", 19) == []
    assert framer.feed(message(b"abc"), 6) == [(message(b"abc"), 6)]
    with pytest.raises(ValueError, match="no header"):
        framer.feed(b"junk", 4)


def test_what_was_not_captured_is_passed_over() -> None:
    framer = Framer(3, 16, size_of)
    whole = message(bytes(100))
    assert framer.feed(whole[:50], 103) == [(whole[:16], 103)]
    assert framer.feed(message(b"x"), 4) == [(message(b"x"), 4)]
    assert framer.feed(message(b"x") + b"\x7e", 60) == [(message(b"x"), 4)]
    assert framer.feed(b"not at a boundary", 17) == []
    assert framer.feed(message(b"y"), 4) == [(message(b"y"), 4)]


def test_a_header_may_go_on() -> None:
    """A header whose length byte of 255 says that one more byte follows."""
    framer = Framer(1, 8, lambda header: 0 if header == b"\xff" else len(header) + header[-1])
    assert framer.feed(b"\x01a\xff", 3) == [(b"\x01a", 2)]
    assert framer.feed(b"\x02bc", 3) == [(b"\xff\x02bc", 4)]


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=60), st.integers(0, 100), st.booleans()), max_size=10))
def test_anything_is_messages_or_a_value_error(segments: list[tuple[bytes, int, bool]]) -> None:
    framer = Framer(3, 16, size_of)
    for payload, more, lost in segments:
        if lost:
            framer.reset()
        try:
            found = framer.feed(payload, len(payload) + more)
        except ValueError:
            return
        assert framer.skip >= 0
        assert all(len(kept) <= 16 and len(kept) <= total for kept, total in found)
