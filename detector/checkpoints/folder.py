"""Checkpoints as files of a folder, for the embedded bus: one file a partition, replaced whole."""

from __future__ import annotations

import fcntl
import logging
import os
from pathlib import Path

from detector.checkpoint import Checkpoint, pack, unpack
from nigrani.stream.bus import BusError

log = logging.getLogger(__name__)


class FolderCheckpoints:
    """A folder, and a lock on each partition that is ours: two detectors of one group never share a state."""

    def __init__(self, folder: Path, group: str) -> None:
        self._folder = folder
        self._group = group
        self._locks: dict[int, int] = {}

    def take(self, partition: int) -> Checkpoint | None:
        """See `Checkpoints`. Raises BusError where another detector has the partition."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if partition not in self._locks:
            self._locks[partition] = self._lock(partition)
        path = self._path(partition)
        try:
            return unpack(path.read_bytes())
        except FileNotFoundError:
            return None
        except ValueError as error:
            log.warning("%s is not used: %s; windows and counts begin anew", path, error)
            return None

    def keep(self, partition: int, checkpoint: Checkpoint) -> None:
        """See `Checkpoints`."""
        path = self._path(partition)
        aside = path.with_suffix(".new")
        aside.touch(mode=0o600)
        with aside.open("wb") as file:
            file.write(pack(checkpoint))
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)

    def give(self, partition: int) -> None:
        """See `Checkpoints`."""
        lock = self._locks.pop(partition, None)
        if lock is not None:
            os.close(lock)

    def close(self) -> None:
        """See `Checkpoints`."""
        for partition in list(self._locks):
            self.give(partition)

    def _path(self, partition: int) -> Path:
        return self._folder / f"{self._group}-{partition}.checkpoint"

    def _lock(self, partition: int) -> int:
        path = self._path(partition).with_suffix(".lock")
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            raise BusError(
                f"another detector reads as group {self._group!r} ({path} is locked): stop it, or set another bus.group"
            ) from None
        return fd
