"""Lines as an attacker would write them: truncated, mutated, spliced and random bytes."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from agent.log import LogFormat
from agent.privacy import Privacy
from agent.protocol import Fact
from nigrani.stream.codec import decode, encode

NASTY = [
    b"\0",
    b"\n",
    b"\x1b[2J",
    b"%s%n",
    b"{0.__class__}",
    b'"',
    b"]",
    b"[",
    b"<",
    b"&",
    b"\xff",
    b"\xe2\x80\xae",
    b"9" * 400,
]
_PRIVACY = Privacy(b"k" * 32, agent="a", boot="b")


@st.composite
def _mutated(draw: st.DrawFn, samples: Sequence[bytes]) -> bytes:
    line = bytearray(draw(st.sampled_from(samples)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(line)))
        cut = draw(st.integers(0, 8))
        line[at : at + cut] = draw(st.sampled_from(NASTY) | st.binary(max_size=6))
    return bytes(line[: draw(st.integers(0, len(line)) | st.just(len(line)))])


def lines(samples: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Any bytes, most of them near one of the samples."""
    return _mutated(samples) | st.binary(max_size=300)


def hold(form: LogFormat, line: bytes, arrival: int = 1_790_000_000_000_000) -> Fact | None:
    """The fact, which privacy takes and the codec reads back; None for no fact. Fails on anything but ValueError."""
    try:
        fact = form.parse(line, arrival)
    except ValueError:
        return None
    if fact is None:
        return None
    assert 0 < fact.when < 1 << 53
    event = _PRIVACY.fact(None, fact)
    read = decode(encode(event))
    assert read.timestamp == event.timestamp
    return fact
