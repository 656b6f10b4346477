from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.sources.frames import Frames

PIECE = 65_536


def counted(*messages: bytes) -> bytes:
    return b"".join(b"%d %s" % (len(message), message) for message in messages)


@given(st.lists(st.binary(min_size=1, max_size=30)), st.lists(st.integers(0, 400), max_size=8))
def test_counted_messages_are_the_same_however_they_come(messages: list[bytes], cuts: list[int]) -> None:
    data = counted(*messages)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    frames = Frames()
    found = [message for start, end in pairwise(edges) for message in frames.feed(data[start:end])]
    assert found == messages
    assert not frames.within


@given(
    st.lists(st.binary(max_size=30).map(lambda line: b"<" + line.translate(None, b"\n\0\r"))),
    st.sampled_from([b"\n", b"\0", b"\r\n"]),
)
def test_ended_messages_are_the_same_byte_by_byte(messages: list[bytes], end: bytes) -> None:
    frames = Frames()
    data = b"".join(message + end for message in messages)
    assert [message for byte in data for message in frames.feed(bytes([byte]))] == messages


def test_both_framings_may_be_mixed() -> None:
    assert Frames().feed(counted(b"<1>a\nb") + b"<2>c\n" + counted(b"<3>d") + b"\n<4>e\0") == [
        b"<1>a\nb",
        b"<2>c",
        b"<3>d",
        b"<4>e",
    ]


def test_a_message_too_long_takes_no_room() -> None:
    frames = Frames()
    assert frames.feed(b"999999999 <1>") == []
    for _ in range(300):
        assert frames.feed(b"x" * PIECE) == []
        assert len(frames._part) <= PIECE
    frames = Frames()
    for _ in range(300):
        assert frames.feed(b"<" * PIECE) == []
        assert len(frames._part) <= 2 * PIECE
    assert frames.feed(b"\n<1>x\n") == [b"<1>x"]
    assert frames.skipped == 1


@pytest.mark.parametrize("data", [b"0 x", b"12x", b"12345678901 ", b"99999999999"])
def test_a_count_that_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="no count"):
        Frames().feed(data)


def test_many_small_messages_cost_little() -> None:
    for end in (b"\n", b"\0"):
        assert len(Frames().feed((b"<" + end) * (PIECE // 2))) == PIECE // 2


@given(st.lists(st.binary(max_size=50)))
def test_any_bytes_are_messages_or_a_value_error(parts: list[bytes]) -> None:
    frames = Frames()
    try:
        messages = [message for part in parts for message in frames.feed(part)]
    except ValueError:
        return
    assert sum(map(len, [*messages, frames.rest()])) <= sum(map(len, parts))


def test_a_sender_of_single_bytes_costs_little() -> None:
    """What is held is not looked through again for each of them."""
    frames = Frames()
    begin = time.process_time()
    for _ in range(60_000):
        assert frames.feed(b"x") == []
    assert time.process_time() - begin < 1.0
    assert frames.feed(b"\n") == [b"x" * 60_000]
