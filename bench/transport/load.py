"""What the transport is measured with: the events of several agents' streams, in the forms that the tasks take them in."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import msgspec

from nigrani.stream.spool import Spool

BATCH = 500
"""Events of one record of a spool, as an agent with much to say writes them."""
TURN = 10 * BATCH
"""Events of one agent before the next has its turn: the agents' mornings are alike, and together would compress too well."""


class Load(NamedTuple):
    """The same events twice."""

    keyed: Path
    """A line an event: host, tab, event."""
    spool: Path
    """Never read: copies of it are."""
    count: int
    bytes: int
    """Of the events, as JSON lines."""

    def fresh(self, folder: Path) -> Path:
        """The spool as no reader has seen it."""
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.spool, folder, copy_function=_link)
        return folder


class _Host(msgspec.Struct):
    host: str = msgspec.field(name="host.id")


def make(folder: Path, streams: Iterable[Path], limit: int | None = None) -> Load:
    """The streams' events, or the first `limit` of them, the agents taking turns."""
    folder.mkdir()
    host = msgspec.json.Decoder(_Host).decode
    lines = itertools.islice(_in_turns(streams), limit)
    count = size = 0
    with Spool.open(folder / "spool", max_bytes=1 << 32) as spool, (folder / "keyed").open("wb") as keyed:
        while batch := list(itertools.islice(lines, BATCH)):
            joined = b"".join(batch)
            spool.publish(joined, len(batch))
            keyed.writelines(host(line).host.encode() + b"\t" + line for line in batch)
            count += len(batch)
            size += len(joined)
    return Load(folder / "keyed", folder / "spool", count, size)


def _in_turns(streams: Iterable[Path]) -> Iterator[bytes]:
    with ExitStack() as stack:
        files = [stack.enter_context(path.open("rb")) for path in streams]
        while turns := [turn for file in files if (turn := list(itertools.islice(file, TURN)))]:
            for turn in turns:
                yield from turn


def _link(source: str, target: str) -> None:
    """Readers only read a spool's segments: no second copy on the disk."""
    Path(target).hardlink_to(source)
