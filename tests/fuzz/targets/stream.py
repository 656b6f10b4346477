"""What travels: a spool's files as a crash or a hand left them, Kafka's messages, events."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

from nigrani.stream.bus import BusError
from nigrani.stream.codec import decode, encode
from nigrani.stream.events import DATASETS
from nigrani.stream.kafka.message import MAX_EVENTS, lines_of, time_of, wire
from nigrani.stream.layout import FORMAT
from nigrani.stream.segment import HEADER_BYTES, pack, segments
from nigrani.stream.spool import Spool, SpoolReader, stat, verify
from tests.fuzz.target import Target, scratch, sized
from tests.fuzz.target import segments as parts

LINE = b'{"event.dataset":"agent.status"}\n'
SEGMENT = 4096


def _emptied() -> Path:
    folder = scratch() / "bus"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "spool.json").write_text(json.dumps({"format": FORMAT, "version": 1}))
    return folder


def spool(data: bytes) -> list[object]:
    """Readers step over what is damaged, a writer goes on behind it, and what it then takes is read."""
    folder = _emptied()
    for name, content in _files(data):
        (folder / name).write_bytes(content)
    faults = [(fault.file, fault.position) for fault in verify(folder)]
    told = _read(folder, "first")
    writer = Spool.open(folder, max_bytes=64 * SEGMENT, segment_bytes=SEGMENT, fsync="never")
    offset = writer.publish(LINE, 1)
    writer.close()
    assert offset == writer.next_offset - 1
    late = SpoolReader(folder, "late")
    polled = [batch for _ in range(100) for batch in late.poll(100)]
    late.close()
    assert polled, "what was published is not read"
    assert (polled[-1].offset, polled[-1].lines) == (offset, LINE)
    assert stat(folder).next_offset == offset + 1
    return [faults, told, offset]


def _read(folder: Path, group: str) -> list[object]:
    reader = SpoolReader(folder, group)
    told: list[object] = []
    last = -1
    for _ in range(100):
        batches = reader.poll(7)
        if not batches:
            break
        for batch in batches:
            assert batch.offset > last
            last = batch.offset
            told.append([batch.offset, batch.count, batch.lines.hex()])
        reader.commit(reader.position)
    reader.close()
    return [*told, reader.missed_records, reader.missed_events, reader.faults]


def _files(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Segments whose records are sound, out of order, torn or no records at all, and a group's place."""
    offset = event = 0
    name, content = _name(0, 0), b""
    for flags, part in parts(data):
        act, count = flags & 7, flags >> 3
        if act < 3:
            content += pack(offset, event, count, part) + part
            offset, event = offset + 1, event + count
        elif act == 3 and len(part) >= 16:
            offset, event = (number >> 1 for number in struct.unpack_from(">QQ", part))
            content += pack(offset, event, count, part) + part
        elif act == 4:
            content += pack(offset, event, count, part)[: HEADER_BYTES - count % HEADER_BYTES] + part
        elif act == 5:
            yield name, content
            name, content = _name(offset + count, event), b""
            offset += count
        elif act == 6:
            yield "first.offset", part
        else:
            content += part
    yield name, content


def _name(offset: int, event: int) -> str:
    return f"{offset:020d}-{event:020d}.log"


def spools() -> Iterable[bytes]:
    """Sound ones, and each kind of damage."""
    sound = b"".join(sized(8, b"x" * size) for size in (1, 40, 200))
    yield sound
    yield sound + sized(5 | 16, b"-") + sound
    yield sound + sized(7, b"\xffNS1 damage") + sound + sized(4, b"torn")
    yield sized(3 | 8, struct.pack(">QQ", 1 << 40, 1 << 44)) + sound
    yield sized(6, b"%020d " * 4 % (2, 2, 0, 0) + b"00000000\n") + sound


def spool_folder(data: bytes) -> object:
    """A folder with other files: a spool or a clear refusal."""
    folder = _emptied()
    for number, (flags, part) in enumerate(parts(data)):
        name = ("spool.json", "first.offset", f"{number}.log", _name(number, number), f".hidden{number}", "lost+found")[
            flags % 6
        ]
        (folder / name).write_bytes(part)
    try:
        writer = Spool.open(folder, max_bytes=64 * SEGMENT, segment_bytes=SEGMENT, fsync="never")
    except BusError as error:
        return str(error).replace(str(folder), "")
    with writer:
        writer.publish(LINE, 1)
    told = _read(folder, "first")
    assert len(segments(folder)) > 0
    return told


def message(data: bytes) -> list[object]:
    """The events of a message, and what each wire format makes of its lines."""
    kind = (None, b"application/json", b"application/x-ndjson", data[1:30])[data[0] & 3 if data else 0]
    try:
        lines = lines_of(data[1:], [("content-type", kind)] if kind is not None else [])
    except ValueError:
        return ["refused"]
    assert len(lines) <= MAX_EVENTS + 1
    told: list[object] = [time_of(line) for line in lines]
    for name in ("event", "batch"):
        packed = wire(name).pack(lines, 7)
        again = [line for one in packed.messages for line in lines_of(one.value, one.headers)]
        if not any(b"\r" in line or b"\n" in line for line in lines):
            assert sorted([*again, *(line for line, _ in packed.bad)]) == sorted(lines)
        told += [[one.partition, len(one.value)] for one in packed.messages]
    return told


EVENT = (
    b'{"event.dataset":"network.flow","@timestamp":"2026-03-02T08:00:00Z","event.id":"00112233445566770000000001",'
    b'"event.sequence":1,"agent.id":"a","host.id":"ip:0011223344556677","source.address":"ip:0011223344556677",'
    b'"destination.address":"ip:8899aabbccddeeff","destination.port":104,"network.transport":"tcp",'
    b'"event.action":"read","event.provider":"x","network.protocol":"tls","fhir.interaction":"read"}'
)


def event(data: bytes) -> object:
    """An event, which reads back as it was written; or a refusal."""
    try:
        found = decode(data)
    except ValueError:
        return "refused"
    line = encode(found)
    assert decode(line) == found or "NaN" in repr(found)
    return line.decode()


def events() -> Iterable[bytes]:
    """One of each dataset, with what it must have."""
    for dataset in DATASETS:
        yield EVENT.replace(b"network.flow", dataset.encode())


def messages() -> Iterable[bytes]:
    """Of both wire formats."""
    yield b"\1" + EVENT
    yield b"\2" + EVENT + b"\n" + EVENT + b"\n"
    yield b"\0" + EVENT + b"\n\nnot json\n"


TARGETS = {
    "spool": Target("spool", spool, spools),
    "spool-folder": Target("spool-folder", spool_folder, lambda: [spool_seed(number) for number in range(6)]),
    "message": Target("message", message, messages),
    "event": Target("event", event, events),
}


def spool_seed(kind: int) -> bytes:
    """A folder with one file of that kind."""
    return sized(kind, b'{"format": "nigrani spool", "version": 2}')
