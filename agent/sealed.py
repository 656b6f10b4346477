"""The files of the sealed map: which tokens a record has stands in clear, what they stand for in a sealed box.

A file is a header (`MAGIC` and the public key it is sealed to) and records: CRC-32 of the rest, length of the box, number
of tokens, their eight bytes each, the box. In the box: milliseconds since the epoch, then for each token its kind (length,
text) and its value (length, bytes). libsodium's sealed boxes (X25519, XSalsa20-Poly1305) need the public key alone, with
which nothing is opened. Tokens leave the host anyway; in clear they tell which boxes to open, and what is kept already.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

MAGIC = b"NGRMAP1\n"
KEY_BYTES = 32
HEADER_BYTES = len(MAGIC) + KEY_BYTES
TOKEN_BYTES = 8
MAX_VALUE = 512
"""Bytes of a value that are kept; names are that long only by malice, and then their token cannot be checked."""
MAX_BOX = 1 << 20
SUFFIX = ".sealed"

_HEAD = struct.Struct(">IIH")
_WHEN = struct.Struct(">Q")
_SIZES = struct.Struct(">BH")


class Entry(NamedTuple):
    """What one token stands for."""

    kind: str
    token: bytes
    value: bytes


class Record(NamedTuple):
    """A record as it lies in a file."""

    tokens: tuple[bytes, ...]
    box: bytes


def plain(when: int, entries: Sequence[Entry]) -> bytes:
    """What goes into a box. when: milliseconds since the epoch."""
    parts = [_WHEN.pack(when)]
    for entry in entries:
        kind, value = entry.kind.encode(), entry.value[:MAX_VALUE]
        parts += [_SIZES.pack(len(kind), len(value)), kind, value]
    return b"".join(parts)


def entries_of(content: bytes, tokens: Sequence[bytes]) -> tuple[int, list[Entry]]:
    """When they were first seen, and the entries of an opened box. Raises ValueError for anything else."""
    if len(content) < _WHEN.size:
        raise ValueError("no time in the box")
    entries, at = [], _WHEN.size
    for token in tokens:
        if at + _SIZES.size > len(content):
            raise ValueError("the box ends early")
        kind_size, size = _SIZES.unpack_from(content, at)
        middle = at + _SIZES.size + kind_size
        if middle + size > len(content):
            raise ValueError("the box ends early")
        kind = content[at + _SIZES.size : middle].decode("ascii")
        entries.append(Entry(kind, token, content[middle : middle + size]))
        at = middle + size
    return _WHEN.unpack_from(content)[0], entries


def pack(tokens: Sequence[bytes], box: bytes) -> bytes:
    """The bytes of a record."""
    rest = _HEAD.pack(0, len(box), len(tokens))[4:] + b"".join(tokens) + box
    return zlib.crc32(rest).to_bytes(4, "big") + rest


def records(data: bytes) -> Iterator[tuple[int, Record]]:
    """Each whole record of a file, with the place where it ends; nothing from the first broken one on."""
    at = HEADER_BYTES
    while at + _HEAD.size <= len(data):
        checksum, size, count = _HEAD.unpack_from(data, at)
        begin = at + _HEAD.size + TOKEN_BYTES * count
        end = begin + size
        if size > MAX_BOX or end > len(data) or zlib.crc32(data[at + 4 : end]) != checksum:
            return
        tokens = tuple(data[start : start + TOKEN_BYTES] for start in range(at + _HEAD.size, begin, TOKEN_BYTES))
        yield end, Record(tokens, data[begin:end])
        at = end


def key_of(data: bytes) -> bytes:
    """The public key that a file is sealed to; empty for what is no such file."""
    return data[len(MAGIC) : HEADER_BYTES] if data.startswith(MAGIC) and len(data) >= HEADER_BYTES else b""


def files(folder: Path) -> list[Path]:
    """The files of a map, the oldest first."""
    return sorted(path for path in folder.glob(f"*{SUFFIX}") if path.stem.isdigit())
