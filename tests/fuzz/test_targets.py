"""Every parser on its seeds, on what fuzzing found in it, and on a few of what fuzzing would try; `make fuzz` goes on."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.__main__ import COMPILED
from tests.fuzz.replay import digests, elsewhere
from tests.fuzz.target import FOUND, sized
from tests.fuzz.targets import NAMES, WHERE, target
from tests.fuzz.targets.conversations import CUT

FILLERS = (
    b"\0", b" ", b"\\", b'"', b'\\"', b"[", b"{", b'{"a":', b"<a>", b"&lt;", b"%25", b"%", b"/", b"9", b"-1,", b"a=b;",
    b"\r\n", b"\xff", b"\xc0\x0c", b"\x30\x80", b"()", b"|^~", b'["', b"a ",
)  # fmt: skip
LARGEST = 65_535
"""Bytes of a segment, a datagram or a line at most."""
BUDGET = 0.4
"""Seconds of processor for so many bytes: what is linear needs a hundredth of it, what is quadratic minutes."""


def seeds(name: str) -> list[bytes]:
    """All that the target has at hand."""
    return [*target(name).seeds(), *(path.read_bytes() for path in sorted((FOUND / name).glob("*")))]


def mutated(data: bytes, chance: random.Random) -> bytes:
    """The bytes with a few changes such as fuzzers make."""
    changed = bytearray(data)
    for _ in range(chance.randrange(1, 6)):
        at = chance.randrange(len(changed) + 1)
        act = chance.randrange(5)
        if act == 0:
            changed[at : at + chance.randrange(1, 9)] = chance.randbytes(chance.randrange(1, 9))
        elif act == 1:
            del changed[at : at + chance.randrange(1, 40)]
        elif act == 2:
            changed[at:at] = changed[at : at + chance.randrange(1, 60)]
        elif act == 3:
            changed[at : at + 4] = chance.choice((b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff", b"\0\0\0\1"))
        elif changed:
            changed[at % len(changed)] ^= 1 << chance.randrange(8)
    return bytes(changed)


def test_every_target_is_where_it_is_said_to_be() -> None:
    for name in NAMES:
        assert target(name).name == name
        assert target(name).compiled == (name in COMPILED)
        assert list(target(name).seeds()), name
    assert {path.name for path in FOUND.iterdir()} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_seeds_and_finds_are_borne(name: str) -> None:
    for data in seeds(name):
        target(name).run(data)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_near_them_is_borne(name: str) -> None:
    known = seeds(name)

    @settings(max_examples=25)
    @given(st.integers(0, (1 << 64) - 1))
    def bears(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(4):
            target(name).run(mutated(chance.choice(known), chance))

    bears()


def test_interpreted_and_compiled_forms_make_the_same_of_it(tmp_path: Path) -> None:
    for name in COMPILED:
        chance = random.Random(name)
        known = seeds(name)
        (tmp_path / name).mkdir()
        for number, data in enumerate([*known, *(mutated(chance.choice(known), chance) for _ in range(100))]):
            (tmp_path / name / str(number)).write_bytes(data)
    here, there = digests(tmp_path), elsewhere(tmp_path, pure=True)
    assert {name for name in here if here[name] != there[name]} == set()


@pytest.mark.parametrize("name", [*WHERE["lines"], "syslog-header", "manifest", "event"])
def test_no_line_takes_long(name: str) -> None:
    known = seeds(name)[:4]
    for filler in FILLERS:
        for data in (b"", *known, *(seed[: len(seed) // 2] for seed in known)):
            hurry(name, (data + filler * (LARGEST // len(filler)))[:LARGEST])


@pytest.mark.parametrize("name", WHERE["conversations"])
def test_no_payload_takes_long(name: str) -> None:
    first = next(iter(target(name).seeds()))
    for filler in FILLERS:
        hurry(name, first + sized(0, filler * (LARGEST // len(filler))))
        hurry(name, first + sized(1 | CUT, filler) * (LARGEST // (len(filler) + 3)))


def hurry(name: str, data: bytes) -> None:
    begin = time.process_time()
    target(name).run(data)
    assert time.process_time() - begin < BUDGET, data[:100]
