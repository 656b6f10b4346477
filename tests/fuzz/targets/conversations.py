"""The protocol parsers, each as the meter drives it: segments of both directions, gaps, cuts by the snap length, minutes."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from importlib import import_module
from random import Random

from agent.flow import Ends
from agent.protocol import DONE, FOREIGN, Parser
from agent.protocols import PARSERS
from bench import conversations
from tests.fuzz.target import DATA, MAX_STATE, Target, event_of, held, segments, sized

BACK, LOST, CUT, MINUTE = 1, 2, 4, 8
"""Bits of a segment's first byte: from the responder; bytes before were lost; it was longer on the wire; a minute ends."""
START = 1_790_000_000_000_000
SPOKEN = {"http": "fhir"}
"""Protocol → what `bench.conversations` calls its conversation."""
SNAPS = (1 << 16, 200)


def run(kind: type[Parser], data: bytes) -> list[object]:
    """What the parser answers and tells."""
    parser = kind()
    told: list[object] = []
    skip = [0, 0]
    stream = "tcp" in kind.transports and bool(data) and not data[0] & 64
    ends = Ends(1, 4, 6 if stream else 17, 0, 1, 0, 2, 40_000, 104, 0, 0, 0)
    for number, (flags, whole) in enumerate(segments(data)):
        direction = flags & BACK
        length = len(whole) + (flags >> 4) * 97 if flags & CUT else len(whole)
        if not whole:
            continue
        told.append(bool(kind.looks_like(whole, 40_000, 104)))
        if flags & LOST:
            skip[direction] = 0
            parser.gap(direction)
        passed = min(skip[direction], length) if stream else 0
        skip[direction] -= passed
        payload = whole[passed:]
        if not payload:
            if length > passed:
                parser.gap(direction)
            continue
        answer = _answer(parser, direction, payload, length - passed, START + number)
        told += [answer, *(event_of(fact, ends) for fact in parser.fresh)]
        parser.fresh = []
        if answer < 0:
            break
        skip[direction] = answer
        if flags & MINUTE:
            told += [event_of(fact, ends) for fact in parser.cut()]
    assert held(parser) < MAX_STATE
    return [*told, *(event_of(fact, ends) for fact in parser.cut()), parser.overflow]


def _answer(parser: Parser, direction: int, payload: bytes, length: int, when: int) -> int:
    try:
        answer = parser.data(direction, payload, length, when)
    except ValueError:
        return FOREIGN
    assert answer >= DONE or answer == FOREIGN, f"answers {answer}"
    return answer


def seeds(kind: type[Parser]) -> Iterable[bytes]:
    """Conversations as hosts have them, whole and cut, the samples of the parser's own tests, and first payloads."""
    speak = getattr(conversations, SPOKEN.get(kind.name, kind.name), None)
    for seed in range(3 if speak else 0):
        spoken = speak(Random(seed), 300)
        for snap in SNAPS:
            yield b"".join(_spoken(message.direction, message.payload, snap) for message in spoken)
    for sample in vars(import_module(f"tests.agent.protocols.test_{kind.name}")).values():
        pieces = [(0, sample)] if isinstance(sample, bytes) else sample if isinstance(sample, (list, tuple)) else []
        if pieces and all(isinstance(one, tuple) and len(one) > 1 and isinstance(one[1], bytes) for one in pieces):
            yield b"".join(_spoken(one[0], one[1], SNAPS[0]) for one in pieces)
    for line in (DATA / "first_payloads.txt").read_text(encoding="ascii").splitlines():
        name, _, payload = line.partition("\t")
        if name == kind.name:
            whole = bytes.fromhex(payload)
            yield sized(0, whole)
            yield sized(0, whole) * 2 + sized(BACK, whole)


def _spoken(direction: int, payload: bytes, snap: int) -> bytes:
    cut = payload[: min(snap, 65_535)]
    missing = min((len(payload) - len(cut)) // 97, 15)
    return sized(direction | (CUT | missing << 4 if missing else 0), cut)


TARGETS = {
    kind.name: Target(kind.name, partial(run, kind), partial(seeds, kind), compiled=True, limit=16_384) for kind in PARSERS
}
