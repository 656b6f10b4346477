"""Alerts as lines of a file."""

from __future__ import annotations

import errno
import logging
import os
from collections import deque
from pathlib import Path

import msgspec
from msgspec import Struct

from detector.outbox import MAX_PENDING, MAX_TOLD

log = logging.getLogger(__name__)


class _Metadata(Struct):
    uid: str


class _Finding(Struct):
    metadata: _Metadata


_uid = msgspec.json.Decoder(_Finding)


class FileOutbox:
    """NDJSON, appended to; one file for all partitions."""

    def __init__(self, path: Path) -> None:
        """Raises OSError where the file cannot be appended to."""
        self.dropped = 0
        self._path = path
        self._held: deque[bytes] = deque()
        self._ill = False
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        self._size = os.fstat(self._fd).st_size
        if self._size and os.pread(self._fd, 1, self._size - 1) != b"\n":
            self._size += os.write(self._fd, b"\n")  # the last line was torn by a power failure or a full disk

    def put(self, partition: int, uid: str, finding: bytes) -> None:  # noqa: ARG002 - one file, and lines name themselves
        """See `Outbox`."""
        self._held.append(finding + b"\n")
        if len(self._held) > MAX_PENDING:
            self._held.popleft()
            self.dropped += 1
        try:
            self._write()
        except OSError as error:
            if not self._ill:
                log.error("alerts cannot be written to %s: %s", self._path, error)  # noqa: TRY400 - one line says it
            self._ill = True

    def flush(self) -> None:
        """See `Outbox`; durable once it returns."""
        self._write()
        os.fdatasync(self._fd)

    @property
    def pending(self) -> int:
        """See `Outbox`."""
        return len(self._held)

    def position(self, partition: int) -> int:  # noqa: ARG002 - one file
        """See `Outbox`; bytes."""
        return self._size

    def since(self, partition: int, position: int) -> set[str]:  # noqa: ARG002 - one file
        """See `Outbox`; of a file that was cut or exchanged meanwhile, all of it."""
        found: deque[str] = deque(maxlen=MAX_TOLD)
        with self._path.open("rb") as file:
            file.seek(position if position <= self._size else 0)
            for line in file:
                try:
                    found.append(_uid.decode(line).metadata.uid)
                except ValueError:
                    continue  # a line that was torn
        return set(found)

    def close(self) -> None:
        """See `Outbox`."""
        try:
            self._write()
        except OSError as error:
            log.error("%d alerts are not in %s: %s", len(self._held), self._path, error)  # noqa: TRY400 - one line says it
        os.close(self._fd)

    def _follow(self) -> None:
        """Go on in a new file where this one was moved away, as logrotate does."""
        try:
            if self._path.stat().st_ino == os.fstat(self._fd).st_ino:
                return
        except FileNotFoundError:
            pass
        os.fdatasync(self._fd)
        fd = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        os.close(self._fd)
        self._fd, self._size = fd, os.fstat(fd).st_size

    def _write(self) -> None:
        self._follow()  # before each line: who reads the log leaves a file that was moved away after a while
        while self._held:
            line = self._held[0]
            written = os.write(self._fd, line)
            if written < len(line):
                os.ftruncate(self._fd, self._size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._size += written
            self._held.popleft()
        if self._ill:
            log.warning("alerts are written to %s again", self._path)
            self._ill = False
