"""A packet source: how it is told by its first bytes, and how it is read into the meter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from agent.meter import Meter

Until = Callable[[], int]
"""How far in time a source may be read now, in µs; asked before each step."""

CHUNK = 1 << 18
"""Bytes read at a time."""
MAX_RECORD = 262_144
"""The longest packet record believed, libpcap's own limit."""


class Capture(Protocol):
    """A file of packets."""

    path: Path
    size: int
    """Bytes, for the progress bar."""
    faults: dict[str, int]
    """What could not be read, by reason."""
    place: str
    """Where the first fault is, if that is known."""

    def read(self, meter: Meter, until: Until = ...) -> Iterator[tuple[int, int]]:
        """Feed the meter, yielding now and then (time reached in µs, bytes read so far).

        The time reached is the next packet's where that one has to wait for `until`, else the last packet's.
        """
        ...


def forever() -> int:
    """No bound in time."""
    return 1 << 62


def open_capture(path: Path) -> Capture | None:
    """The reader for the file, or None where it is no capture. Raises ValueError for one that cannot be read."""
    from agent.captures import pcap, pcapng  # noqa: PLC0415 - they import this module's bounds

    with path.open("rb") as file:
        magic = file.read(4)
    for reader in (pcap.PcapFile, pcapng.PcapngFile):
        if magic in reader.MAGIC:
            return reader(path)
    return None
