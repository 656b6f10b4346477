"""What stands before the formats: cutting streams, syslog's framing and header, manifests, the journal, kept places."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from datetime import UTC
from math import isfinite
from struct import pack as pack_answer
from typing import Any

from agent.log import MAX_LINE
from agent.ntp import answer
from agent.sealed import KEY_BYTES, MAGIC, Entry, entries_of, key_of, pack, plain, records
from agent.sources.cut import Cutter, Lines, Objects
from agent.sources.frames import MAX_MESSAGE, Frames
from agent.sources.integrity import FolderWatch
from agent.sources.journald import JournalReader
from agent.sources.manifest import NAMES, Manifest
from agent.sources.rotated import Opened
from agent.sources.settings import Folder, Journal
from agent.sources.syslog_header import read_header
from agent.sources.tail import Tail
from tests.fuzz.target import DATA, MAX_STATE, Target, held, scratch, segments, sized

ARRIVAL = 1_790_000_000_000_000
LIMIT = 200
"""Of a record, small, so that its bound is met."""


def pieces(data: bytes) -> Iterator[bytes]:
    """The bytes after the first, cut where the first says."""
    step = (data[0] if data else 0) % 61 + 1
    rest = data[1:]
    for at in range(0, len(rest), step):
        yield rest[at : at + step]


def cut(make: Callable[[bool], Cutter], data: bytes) -> list[object]:
    """The same records whole, in pieces, and after a restart anywhere: none twice, none lost."""
    whole = make(False)
    records = [*whole.feed(data[1:]), *whole.rest()]
    parts = make(False)
    found: list[bytes] = []
    done = 0
    for piece in pieces(data):
        found += parts.feed(piece)
        done += len(piece)
        _restart(make, parts, found, data[1:], done, records)
    found += parts.rest()
    assert found == records
    assert parts.skipped == whole.skipped
    assert held(parts) < MAX_STATE
    return [whole.skipped, *(record.hex() for record in records)]


def _restart(
    make: Callable[[bool], Cutter], parts: Cutter, found: list[bytes], data: bytes, done: int, records: list[bytes]
) -> None:
    """What another cutter makes of the rest, from the first byte of what is not given out yet."""
    if isinstance(parts, Objects) and parts.skipping:
        return  # what is left of an object too long is read as objects again
    again = make(parts.skipping and not parts.held)
    rest = [*again.feed(data[done - parts.held :]), *again.rest()]
    assert found + rest == records, f"after a restart at {done} (held {parts.held})"


def frames(data: bytes) -> list[object]:
    """The same messages whole and in pieces, and never more held than a message."""
    told: list[list[object]] = []
    for parts in ([data[1:]], list(pieces(data))):
        one = Frames()
        messages: list[object] = []
        try:
            for part in parts:
                messages += [message.hex() for message in one.feed(part)]
                assert held(one) < MAX_MESSAGE + len(part) + 4096
            messages.append(one.rest().hex())
        except ValueError:
            messages = ["unframed"]
        told.append([*messages, one.skipped])
    if "unframed" not in told[0]:
        assert told[0] == told[1]
    return told[0]


def header(data: bytes) -> object:
    """What a message says of itself."""
    try:
        found = read_header(data, UTC, ARRIVAL)
    except ValueError:
        return "refused"
    assert 0 <= found.start <= len(data)
    assert found.when is None or 0 < found.when < 1 << 53
    return [found.when, found.host, found.start]


def manifest(data: bytes) -> object:
    """What a list of digests lists; every digest has its length."""
    folder = scratch() / "models"
    folder.mkdir(exist_ok=True)
    (folder / NAMES[0]).write_bytes(data)
    found = Manifest(folder)
    assert found.refresh()
    assert all(len(digest) == 32 for digest in found.listed.values())
    return sorted((name.hex(), digest.hex()) for name, digest in found.listed.items())


def journal(data: bytes) -> object:
    """The entries that are in what the journal's program printed."""
    printed = scratch() / "journal"
    printed.write_bytes(data)
    reader = JournalReader(
        Journal(("ollama.service",), "ai-http-access", command=("cat", str(printed), "--")), {"second": 1}
    )
    found = []
    while reader.fileno() >= 0:
        found += reader.read(5.0)
    assert all(0 < len(piece.line) <= MAX_LINE for piece in found)
    reader.command()
    reader.close()
    return [[piece.line.hex(), piece.when, piece.origin] for piece in found], reader.counters, reader.state()


def log_state(data: bytes) -> object:
    """Reading goes on whatever the kept places say."""
    try:
        state = json.loads(data)
    except (ValueError, RecursionError):
        return "refused"
    if not isinstance(state, dict):
        return "refused"
    folder = scratch() / "watched"
    folder.mkdir(exist_ok=True)
    log = scratch() / "a.log"
    if not log.exists():
        log.write_bytes(b"one\ntwo\nthree\n")
        (folder / "a.bin").write_bytes(b"weights")
    tail = Tail(log, "lines", state)
    lines = [piece.line.decode() for piece in tail.read()]
    assert set(lines) <= {"one", "two", "three", "ne", "e", "wo", "o", "hree", "ree", "ee"}
    tail.close()
    watch = FolderWatch(Folder(str(folder)), state)
    for _ in range(3):
        watch.read()
    watch.close()
    JournalReader(Journal(("a",), "ai-http-access", command=("true",)), state).close()
    return len(lines)


def packed_log(data: bytes) -> object:
    """What a compressed log holds, up to where it is damaged."""
    path = scratch() / "a.log.1.gz"
    path.write_bytes(data)
    opened = Opened(path)
    done = 0
    try:
        while part := opened.read(8192, done):
            done += len(part)
        assert opened.begin(100) or not done
    except OSError as error:
        return [done, error.strerror]
    finally:
        opened.close()
    return done


def time_answer(data: bytes) -> object:
    """What a time server's answer says, where it is one."""
    nonce = 1 << 63 | 1
    packet = data[:24] + nonce.to_bytes(8, "big") + data[32:] if data[:1] != b"\xff" else data
    try:
        found = answer(packet, nonce, 1_790_000_000.0, 1_790_000_000.5)
    except ValueError as error:  # Kiss is one
        refused = str(error)
    else:
        assert 0 <= found.delay < 1
        assert isfinite(found.offset)
        return found
    assert refused.isprintable()
    return refused


def sealed_map(data: bytes) -> object:
    """The whole records of a map's file, and the entries of boxes that say what is in them."""
    whole = MAGIC + bytes(KEY_BYTES)
    for flags, part in segments(data):
        whole += pack([part[:8].ljust(8)] * (flags & 3), part) if flags & 4 else part
    told: list[object] = [key_of(data[1:]).hex()]
    for end, record in records(whole):
        assert end <= len(whole)
        try:
            told.append([record.box.hex(), entries_of(record.box, record.tokens)])
        except ValueError:
            told.append("refused")
    return repr(told)


def _places() -> Iterable[bytes]:
    folder = scratch() / "seen"
    folder.mkdir(exist_ok=True)
    (folder / "a.bin").write_bytes(b"weights")
    watch = FolderWatch(Folder(str(folder)))
    for _ in range(3):
        watch.read()
    places: list[Any] = [
        {"inode": 1, "offset": 4, "head": "", "head_size": 0, "skipping": False},
        {"inode": 1, "offset": 1 << 70, "head": "zz", "head_size": -1},
        {"cursor": "s=1;i=2", "second": 1_790_000_000},
        watch.state(),
        asdict(Folder("/a")),
    ]
    watch.close()
    return [json.dumps(place).encode() for place in places]


def _answers() -> Iterable[bytes]:
    now = (1_790_000_000 + 2_208_988_800) % (1 << 32) << 32 | 1 << 30
    for first, stratum in ((0x24, 2), (0x1C, 1), (0x24, 0), (0xE4, 3)):
        yield pack_answer("!BBbbII4sQQQQ", first, stratum, 6, -20, 99, 99, b"RATE", now, 0, now, now + 9999)


def _records() -> Iterable[bytes]:
    box = plain(1_790_000_000_000, [Entry("ip", b"12345678", b"\x0a\0\0\1"), Entry("study", b"12345678", b"1.2")])
    yield sized(6, box) + sized(0, b"torn") + sized(4, b"")


def _journal() -> Iterable[bytes]:
    entry = {"__REALTIME_TIMESTAMP": "1790000000123456", "_SYSTEMD_UNIT": "a.service", "__CURSOR": "s=1;i=1"}
    for message in ("x", [120, 10, 255], ["a", "b"], None, []):
        yield json.dumps({**entry, "MESSAGE": message}).encode() + b"\n"


def _objects() -> Iterable[bytes]:
    content = (DATA / "logs" / "triton_trace.json").read_bytes()
    yield b"\7" + content[:3000]
    yield b'\1[{"a":"}\\"{"},{"b":{"c":[1]}}]'


def _headers() -> Iterable[bytes]:
    yield b'<85>1 2026-06-25T13:47:57.598829Z pacs atna 7 IHE+RFC-3881 [a@1 x="y\\]" z=""][b] \xef\xbb\xbf<AuditMessage/>'
    yield b"<13>Feb 29 13:47:57 pacs orthanc[7]: x"
    yield b"<13>1 - - - - - - x"


TARGETS = {
    one.name: one
    for one in (
        Target(
            "cut-lines",
            lambda data: cut(lambda skipping: Lines(LIMIT, skipping=skipping), data),
            lambda: [b"\3one\r\ntwo\n\n" + b"x" * 300 + b"\nlast", b"\x3c" + b"y" * 199 + b"\n" + b"z" * 200 + b"\n"],
        ),
        Target("cut-objects", lambda data: cut(lambda _: Objects(LIMIT), data), _objects),
        Target("frames", frames, lambda: [b"\5" + b"5 <13>x12 <13>abc\ndef " + b"<14>line\n<15>\0", b"\1" + b"99999 x"]),
        Target("syslog-header", header, _headers),
        Target("manifest", manifest, lambda: [b"0" * 64 + b"  ./a.bin\n\\" + b"A" * 64 + b" *b\\n\r\n# x\n"]),
        Target("journal", journal, _journal),
        Target("log-state", log_state, _places),
        Target("packed-log", packed_log, lambda: [gzip.compress(b"a line\n" * 99, mtime=0), gzip.compress(b"") * 2]),
        Target("time-answer", time_answer, _answers),
        Target("sealed-map", sealed_map, _records),
    )
}
