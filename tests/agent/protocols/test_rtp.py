from __future__ import annotations

import random
from struct import pack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.protocol import DONE
from agent.protocols import PARSERS, identify
from agent.protocols.rtp import IN_SEQUENCE, MOST_LOST, MOST_SHOWN, Rtp
from tests.agent.packets import datagram, frames, metered

STUN = pack(">HHI", 1, 0, 0x2112A442) + bytes(12)
DTLS = b"\x16\xfe\xfd" + bytes(20)


def media(number: int, *, source: int = 0xC0FFEE, kind: int = 0, first: int = 0x80) -> bytes:
    return pack(">BBHII", first, kind, number & 0xFFFF, number * 160 & 0xFFFFFFFF, source) + bytes(160)


def told(*payloads: bytes, direction: int = 0) -> tuple[list[dict[str, object]], str, int]:
    parser = Rtp()
    result = 0
    for payload in payloads:
        result = parser.data(direction, payload, len(payload), 1)
        if result:
            break
    return [fact.fields for fact in parser.fresh], parser.name, result


STREAM = [media(number) for number in range(65_530, 65_530 + 10)]


def test_a_stream_is_told_once_and_needs_no_more() -> None:
    assert told(*STREAM) == ([{"protocol": "rtp", "action": "media"}], "rtp", DONE)
    assert told(*STREAM[: IN_SEQUENCE - 1]) == ([], "", 0)


@pytest.mark.parametrize("before", [STUN, DTLS])
def test_what_negotiated_on_its_ports_is_left_alone(before: bytes) -> None:
    assert told(before, *STREAM) == ([], "", DONE)
    assert told(*STREAM[:2], before) == ([], "", DONE)


def test_some_may_be_lost() -> None:
    assert told(*(media(number * MOST_LOST) for number in range(5)))[1] == "rtp"
    assert told(*(media(number * (MOST_LOST + 1)) for number in range(30)))[1] == ""


def test_streams_of_many_sources_are_none() -> None:
    assert told(*(media(number, source=number + 1) for number in range(30)))[1] == ""


def test_repeats_are_no_sequence() -> None:
    assert told(*[media(7)] * 30)[1] == ""


def test_it_gives_up_in_time() -> None:
    parser = Rtp()
    results = [parser.data(0, STREAM[0], len(STREAM[0]), 1) for _ in range(MOST_SHOWN)]
    assert results == [0] * (MOST_SHOWN - 1) + [DONE]


@pytest.mark.parametrize(
    ("payload", "looks"),
    [
        (media(1), True),
        (media(1, kind=0x80 | 96), True),
        (media(1, first=0x90), True),
        (STUN, True),
        (DTLS, True),
        (media(1)[:11], False),
        (media(1, source=0), False),
        (media(1, kind=200), False),
        (media(1, kind=72), False),
        (media(1, kind=50), False),
        (media(1, first=0x40), False),
        (b"\0\1" + bytes(18), False),
        (b"\x16\x03\x03" + bytes(20), False),
    ],
)
def test_looks_like(payload: bytes, looks: bool) -> None:
    assert Rtp.looks_like(payload, 17_000, 18_000) is looks
    assert not Rtp.looks_like(payload, 17_000, 443)


def test_it_is_asked_last() -> None:
    """The others are stricter."""
    assert PARSERS[-1] is Rtp


@settings(deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=64), max_size=80))
def test_any_bytes(payloads: list[bytes]) -> None:
    parser = Rtp()
    for payload in payloads:
        assert parser.data(len(payload) & 1, payload, len(payload), 1) in {0, DONE}


def test_random_datagrams_are_no_stream() -> None:
    chance = random.Random(3)
    for _ in range(2000):
        payloads = [bytes([0x80, 0x00]) + chance.randbytes(40) for _ in range(MOST_SHOWN)]
        assert told(*payloads)[1] == ""


def test_the_meter_names_a_flow_only_once_it_is_sure() -> None:
    def protocols(payloads: list[bytes]) -> list[str]:
        packets = frames(*(datagram(("10.0.0.1", 17_000), ("10.0.0.2", 18_000), payload) for payload in payloads))
        return [row.name for row in metered(packets, identify=identify).rows]

    assert protocols(STREAM) == ["rtp"]
    assert protocols(STREAM[:2]) == [""]
    assert protocols([STUN, *STREAM]) == [""]
