"""Events as Kafka messages and back.

Two wire formats, told apart by the header `content-type`; both put a host's events into the partition that Kafka's own
partitioner gives to its `host.id`, so a topic may hold both:

    event   application/json        one event; the key is its host.id
    batch   application/x-ndjson    events of hosts of one partition, a line each; `nigrani-count` tells how many
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Annotated, NamedTuple, Protocol

import msgspec
from msgspec import Meta, Struct, field

from nigrani.stream.codec import MAX_LINE
from nigrani.stream.event import SCHEMA_VERSION

JSON = b"application/json"
NDJSON = b"application/x-ndjson"
TYPE = "content-type"
SCHEMA = "nigrani-schema"
COUNT = "nigrani-count"
BATCH_EVENTS = 500
"""Events of one message of the wire format `batch`, at most."""
BATCH_BYTES = 512 << 10
"""And its bytes: well below the 1 MiB that a topic takes unless told otherwise."""
MAX_EVENTS = 10_000
"""Of one message that is read, whoever wrote it."""
MAX_HOSTS = 65_536
"""Hosts whose partition is remembered."""

Header = tuple[str, bytes]
Headers = list[Header]
Place = Callable[[bytes], tuple[bytes, int]]
"""From a line to its host's key and partition; raises ValueError for what is no event."""


class Message(NamedTuple):
    """What goes to Kafka."""

    partition: int
    key: bytes | None
    value: bytes
    headers: Headers


class _Host(Struct, gc=False):
    """As much of an event as its way needs."""

    host: Annotated[str, Meta(min_length=1, max_length=64)] = field(name="host.id")


class _Time(Struct, gc=False):
    time: Annotated[datetime, Meta(tz=True)] = field(name="@timestamp")


_host = msgspec.json.Decoder(_Host).decode
_time = msgspec.json.Decoder(_Time).decode
_SCHEMA: Header = (SCHEMA, str(SCHEMA_VERSION).encode())
_EVENT: Headers = [_SCHEMA, (TYPE, JSON)]


class Packed(NamedTuple):
    """Lines on their way."""

    messages: list[Message]
    """Each host's events in order."""
    bad: list[tuple[bytes, str]]
    """Lines that are no event, and why."""


class Wire(Protocol):
    """A wire format."""

    def pack(self, lines: Iterable[bytes], partitions: int) -> Packed:
        """The messages of these events for a topic of so many partitions."""


class EventWire:
    """One event a message."""

    def __init__(self) -> None:
        self._hosts = Hosts()

    def pack(self, lines: Iterable[bytes], partitions: int) -> Packed:
        """See `Wire`."""
        packed = Packed([], [])
        place = self._hosts.of(partitions)
        add = packed.messages.append
        for line in lines:
            try:
                key, partition = place(_checked(line))
            except (ValueError, RecursionError) as error:
                packed.bad.append((line, str(error)))
            else:
                add(Message(partition, key, line, _EVENT))
        return packed


class BatchWire:
    """Many events a message."""

    def __init__(self) -> None:
        self._hosts = Hosts()

    def pack(self, lines: Iterable[bytes], partitions: int) -> Packed:
        """See `Wire`."""
        packed = Packed([], [])
        place = self._hosts.of(partitions)
        groups: dict[int, list[bytes]] = {}
        for line in lines:
            try:
                partition = place(_checked(line))[1]
            except (ValueError, RecursionError) as error:
                packed.bad.append((line, str(error)))
            else:
                groups.setdefault(partition, []).append(line)
        for partition, group in groups.items():
            packed.messages.extend(_batch(partition, part) for part in _parts(group))
        return packed


class Hosts:
    """Where hosts belong, remembered: Kafka's hash of a key costs plain Python more than all the rest of its way."""

    def __init__(self) -> None:
        self._partitions = 0
        self._known: dict[str, tuple[bytes, int]] = {}

    def of(self, partitions: int) -> Place:
        """The places among so many partitions."""
        if partitions != self._partitions:
            self._partitions = partitions
            self._known = {}
        known = self._known

        def place(line: bytes) -> tuple[bytes, int]:
            host = _host(line).host
            found = known.get(host)
            if found is None:
                if len(known) >= MAX_HOSTS:
                    known.clear()
                key = host.encode()
                found = known[host] = key, partition_of(key, partitions)
            return found

        return place


def wire(name: str) -> Wire:
    """The wire format of this name: `event` or `batch`."""
    return BatchWire() if name == "batch" else EventWire()


def partition_of(key: bytes, partitions: int) -> int:
    """The partition that Kafka's default partitioner gives to a key."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def murmur2(data: bytes) -> int:
    """MurmurHash2 (Austin Appleby), 32 bits, with Kafka's seed; org.apache.kafka.common.utils.Utils.murmur2."""
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = 0x9747B28C ^ len(data)
    whole = len(data) & ~3
    for at in range(0, whole, 4):
        k = int.from_bytes(data[at : at + 4], "little") * m & mask
        h = (h * m & mask) ^ ((k ^ k >> 24) * m & mask)
    if whole < len(data):
        h = (h ^ int.from_bytes(data[whole:], "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def time_of(line: bytes) -> float | None:
    """When an event was, in seconds since the epoch; None where the line does not say."""
    try:
        return _time(line).time.timestamp()
    except (ValueError, OverflowError, RecursionError):
        return None


def lines_of(value: bytes | None, headers: Sequence[Header]) -> list[bytes]:
    """The events of a message, a line each. Raises ValueError for what is neither of the wire formats."""
    if value is None:
        raise ValueError("a message without a value is no event")
    kind = next((text for name, text in headers if name == TYPE), None)
    if kind is None:
        kind = NDJSON if b"\n" in value else JSON
    if kind == JSON:
        return [value]
    if kind != NDJSON:
        raise ValueError(f"{TYPE} {kind[:64]!r} is neither {JSON.decode()} nor {NDJSON.decode()}")
    if value.count(b"\n") > MAX_EVENTS:
        raise ValueError(f"more than {MAX_EVENTS} lines are no message of events")
    return [line for line in value.splitlines() if line]


def _checked(line: bytes) -> bytes:
    if len(line) > MAX_LINE:
        raise ValueError(f"{len(line)} bytes are no event (at most {MAX_LINE})")
    return line


def _parts(lines: list[bytes]) -> Iterator[list[bytes]]:
    """The lines, a message's worth at a time."""
    first, size = 0, 0
    for number, line in enumerate(lines):
        size += len(line) + 1
        if number > first and (size > BATCH_BYTES or number - first == BATCH_EVENTS):
            yield lines[first:number]
            first, size = number, len(line) + 1
    yield lines[first:]


def _batch(partition: int, lines: list[bytes]) -> Message:
    headers = [_SCHEMA, (TYPE, NDJSON), (COUNT, str(len(lines)).encode())]
    return Message(partition, None, b"\n".join(lines) + b"\n", headers)
