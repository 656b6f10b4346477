"""Checkpoints: a partition's state together with the offset it stands at, kept as one thing or not at all."""

from __future__ import annotations

import zlib
from typing import Protocol

import msgspec
from msgspec import Struct

MAGIC = b"nigrani checkpoint 1\n"


class Checkpoint(Struct, frozen=True):
    """What is kept of one partition."""

    next: int
    """The first offset that is not in the state."""
    told: int
    """Position in the alerts' log: the alerts before it are in the state."""
    state: bytes


class Checkpoints(Protocol):
    """Where checkpoints are kept. All raise OSError where that place cannot be reached."""

    def take(self, partition: int) -> Checkpoint | None:
        """What was last kept. From now on what another detector keeps of this partition counts no more."""

    def keep(self, partition: int, checkpoint: Checkpoint) -> None:
        """Keep it in place of the last; durable when it returns."""

    def give(self, partition: int) -> None:
        """Let another take the partition."""

    def close(self) -> None:
        """Let go of everything."""


_decoder = msgspec.msgpack.Decoder(Checkpoint)


def pack(checkpoint: Checkpoint) -> bytes:
    """A checkpoint in bytes, with its CRC-32."""
    body = msgspec.msgpack.encode(checkpoint)
    return MAGIC + zlib.crc32(body).to_bytes(4, "big") + body


def unpack(data: bytes) -> Checkpoint:
    """The checkpoint of `pack`. Raises ValueError for anything else."""
    start = len(MAGIC) + 4
    body = data[start:]
    if data[: len(MAGIC)] != MAGIC or data[len(MAGIC) : start] != zlib.crc32(body).to_bytes(4, "big"):
        raise ValueError("this is no checkpoint, or a damaged one")
    return _decoder.decode(body)
