"""A fuzz target: bytes in, what came of them out; whatever else is raised is a find."""

from __future__ import annotations

import gc
import re
import shutil
import struct
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

from agent.privacy import MAX_WORD, Privacy
from agent.protocol import Fact
from nigrani.stream.codec import decode, encode
from nigrani.stream.event import Event
from nigrani.stream.schema import privacy_classes

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
FOUND = DATA / "found"
"""Inputs that fuzzing found, by target: each was once not borne."""
MAX_STATE = 1 << 19
"""Bytes that the state of one conversation, or of one stream that is cut, may take."""
_TOKEN = re.compile(r"(?:ip|mac|ae|user|study|name|host):[0-9a-f]{16}")
_PRIVACY = Privacy(b"k" * 32, agent="a", boot="b")


class Target(NamedTuple):
    """One parser behind one entrance."""

    name: str
    run: Callable[[bytes], object]
    """What the bytes lead to, in plain values, the same in every form and every run."""
    seeds: Callable[[], Iterable[bytes]]
    compiled: bool = False
    """Whether a compiled form may stand in the place of what is run."""
    limit: int = 8192
    """Bytes of an input while exploring; more find nothing new and cost time."""


def sized(flags: int, payload: bytes) -> bytes:
    """One part of an input, as `segments` reads it."""
    return struct.pack(">BH", flags, len(payload)) + payload


def segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The parts of an input: a byte that says how it comes, two of its length, and as much of it as there is."""
    at = 0
    while at + 3 < len(data):
        flags, length = struct.unpack_from(">BH", data, at)
        yield flags, data[at + 3 : at + 3 + length]
        at += 3 + length


def event_of(fact: Fact, ends: Any = None) -> str:
    """The event of a fact, as it leaves: its structure takes it, it reads back the same, and no text is unclassified."""
    return line_of(_PRIVACY.fact(ends, fact))


def flow_of(record: Any) -> str:
    """The event of a flow record."""
    return line_of(_PRIVACY.flow(record))


def line_of(event: Event) -> str:
    """The event in JSON, without what counts up from event to event."""
    line = encode(event)
    read = decode(line)
    assert encode(read) == line
    for name, way in _texts(type(event)):
        value = getattr(event, name)
        for text in value if isinstance(value, list) else (value,):
            assert not isinstance(text, str) or _may_leave(way, text), f"{name} ({way}) leaves as {text!r}"
    return re.sub(r'"event\.(?:id|sequence)":[^,]+,', "", line.decode())


@cache
def _texts(kind: type[Event]) -> tuple[tuple[str, str], ...]:
    import msgspec  # noqa: PLC0415 - for this alone

    ways = privacy_classes(kind)
    return tuple(
        (field.name, ways[field.encode_name]) for field in msgspec.structs.fields(kind) if field.encode_name in ways
    )


def _may_leave(way: str, text: str) -> bool:
    if way in {"word", "domain"}:
        return len(text) <= MAX_WORD and text.isprintable()
    return not text or _TOKEN.fullmatch(text) is not None


def held(*things: object) -> int:
    """Bytes that objects hold, with all that is reached from them and belongs to no module."""
    seen: set[int] = set()
    waiting = list(things)
    total = 0
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, (type, ModuleType, FunctionType)):
            continue
        seen.add(id(one))
        total += sys.getsizeof(one)
        waiting += gc.get_referents(one)
    return total


@cache
def scratch() -> Path:
    """A folder in memory for parsers that read files; it goes with the process."""
    import atexit  # noqa: PLC0415 - for this alone

    memory = Path("/dev/shm")
    folder = Path(mkdtemp(prefix="nigrani-fuzz-", dir=memory if memory.is_dir() else None))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
