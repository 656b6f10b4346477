"""Keeps what tokens stand for, sealed: the running agent can add to the map, and nobody without the private key read it.

Entries wait in a bounded queue, so that packets never wait for a disk; a thread of its own seals them every few seconds,
many to a box, and appends. Each value is kept once a file. A file holds a sixteenth of the map; a new one makes the agent
tell all its tokens again, so that what is still seen never goes with the oldest file. Writing is rationed to one file a
day: a flood of made-up addresses loses itself, counted, and not the map.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import threading
import time
from array import array
from collections import deque
from pathlib import Path

from agent.sealed import HEADER_BYTES, KEY_BYTES, MAGIC, MAX_VALUE, SUFFIX, Entry, files, key_of, pack, plain, records
from nigrani.service.errors import Problem

log = logging.getLogger(__name__)

FILES = 16
"""The map's size, in files."""
DAY = 86_400.0
WAITING = 16_384
"""Entries that wait to be sealed, at most; others are dropped, counted."""
BATCH = 256
BATCH_BYTES = 8192
"""Of the entries in one box; values count, and a little for each."""
PAUSE = 2.0
"""Seconds between two turns: what a crash loses at most."""
SLOTS = 1 << 16
"""Places of the memory of what the present file has: two tokens of one place take turns, and are kept twice."""


class Sealer:
    """One writer of one map."""

    def __init__(self, folder: Path, key: bytes, max_bytes: int) -> None:
        """key: the public key. Raises Problem where there is no place for the map, another writer, or no PyNaCl."""
        try:
            from nacl.public import PublicKey, SealedBox  # noqa: PLC0415 - loaded only where a map is kept
        except ModuleNotFoundError:
            raise Problem("privacy.map needs PyNaCl: pip install nigrani[map], or leave privacy.map out") from None
        if len(key) != KEY_BYTES:
            raise ValueError(f"a public key has {KEY_BYTES} bytes, not {len(key)}")
        self._box = SealedBox(PublicKey(key))
        self._folder = folder
        self._key = key
        self._max_bytes = max_bytes
        self._file_bytes = max_bytes // FILES
        self._queue: deque[Entry] = deque()
        self._batch: list[Entry] = []
        self._seen = array("Q", bytes(8 * SLOTS))
        self._entries = self._dropped = self._evicted = 0
        self._failing = self._renewed = False
        self._fd = -1
        self._size = 0
        self._wake = threading.Event()
        self._ended = False
        self._thread: threading.Thread | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            self._claim()
            self._resume()
        except OSError as error:
            raise Problem(f"{folder}: {error.strerror or error}; the map of tokens needs a folder of its own") from None
        self._ration = float(max(self._file_bytes - self._written_today(), 0))
        self._rationed = time.monotonic()

    def note(self, kind: str, token: bytes, value: bytes) -> None:
        """Keep one, soon. Never waits."""
        number = int.from_bytes(token, "big")
        slot = number % SLOTS
        if self._seen[slot] == number:
            return
        if len(self._queue) >= WAITING:
            self._dropped += 1
            return
        self._seen[slot] = number
        self._queue.append(Entry(kind, token, value[:MAX_VALUE]))
        if len(self._queue) == WAITING // 2:
            self._wake.set()

    def renewed(self) -> bool:
        """Whether a new file was begun since this was last asked: tokens should be told again."""
        renewed, self._renewed = self._renewed, False
        return renewed

    def start(self) -> None:
        """Seal in a thread from now on."""
        self._thread = threading.Thread(target=self._run, name="sealer", daemon=True)
        self._thread.start()

    def turn(self) -> None:
        """Seal and append what waits, as far as the ration goes. Never raises for a disk."""
        now = time.monotonic()
        self._ration = min(self._ration + (now - self._rationed) * self._file_bytes / DAY, float(self._file_bytes))
        self._rationed = now
        while batch := self._next():
            content = plain(time.time_ns() // 1_000_000, batch)
            record = pack([entry.token for entry in batch], self._box.encrypt(content))
            if len(record) > self._ration:
                return
            try:
                self._append(record)
            except OSError as error:
                self._trouble(error)
                return
            self._ration -= len(record)
            self._entries += len(batch)
            self._batch = []
            self._recovered()

    def counters(self) -> dict[str, int]:
        """Entries sealed, dropped for want of room or ration, and gone with the oldest file, since the start; and bytes."""
        return {
            "map_entries": self._entries,
            "map_dropped": self._dropped,
            "map_evicted": self._evicted,
            "map_bytes": sum(_size(path) for path in files(self._folder)),
        }

    def close(self) -> None:
        """Seal what waits, and let go of the files."""
        if self._lock < 0:
            return
        self._ended = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        self.turn()
        self._dropped += len(self._batch) + len(self._queue)
        if self._fd >= 0:
            os.close(self._fd)
        os.close(self._lock)
        self._fd = self._lock = -1

    def _run(self) -> None:
        while not self._ended:
            self._wake.wait(PAUSE)
            self._wake.clear()
            self.turn()

    def _next(self) -> list[Entry]:
        """The batch that could not be written, or the next one."""
        size = 0
        while not self._batch or (size < BATCH_BYTES and len(self._batch) < BATCH):
            if not self._queue:
                break
            entry = self._queue.popleft()
            size += len(entry.value) + 16
            self._batch.append(entry)
        return self._batch

    def _append(self, record: bytes) -> None:
        """The whole record or nothing, on the disk."""
        if self._fd < 0 or self._size + len(record) > self._file_bytes:
            self._begin()
        try:
            if os.write(self._fd, record) < len(record):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # noqa: TRY301 - one way back
            os.fsync(self._fd)
        except OSError:
            os.ftruncate(self._fd, self._size)
            raise
        self._size += len(record)

    def _begin(self) -> None:
        """Begin a new file, and make room for it first."""
        there = files(self._folder)
        number = max(int(time.time()), int(there[-1].stem) + 1 if there else 0)
        total = sum(_size(path) for path in there)
        while there and total + self._file_bytes > self._max_bytes:
            oldest = there.pop(0)
            total -= _size(oldest)
            self._evicted += sum(len(record.tokens) for _, record in records(oldest.read_bytes()))
            oldest.unlink()
        path = self._folder / f"{number:010d}{SUFFIX}"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            if os.write(fd, MAGIC + self._key) < HEADER_BYTES:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # noqa: TRY301 - one way back
            os.fsync(fd)
            os.fsync(self._lock)
        except OSError:
            os.close(fd)
            path.unlink()
            raise
        if self._fd >= 0:
            os.close(self._fd)
            self._seen = array("Q", bytes(8 * SLOTS))
            self._renewed = True
        self._fd, self._size = fd, HEADER_BYTES

    def _resume(self) -> None:
        """Go on in the last file where it is sealed to the same key: cut its torn end off, and know what it has."""
        there = files(self._folder)
        if not there:
            return
        data = there[-1].read_bytes()
        if key_of(data) != self._key:
            return
        end = HEADER_BYTES
        for end, record in records(data):  # noqa: B007 - the last end is where the file goes on
            for token in record.tokens:
                number = int.from_bytes(token, "big")
                self._seen[number % SLOTS] = number
        self._fd = os.open(there[-1], os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        os.ftruncate(self._fd, end)
        self._size = end

    def _written_today(self) -> int:
        """Bytes of the files begun within a day, as their names tell: a restart is no way around the ration."""
        since = time.time() - DAY
        return sum(_size(path) for path in files(self._folder) if int(path.stem) > since)

    def _claim(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise Problem(f"{self._folder}: another agent keeps its map there; give each its own state folder") from None

    def _trouble(self, error: OSError) -> None:
        if not self._failing:
            log.warning("%s: %s; the map of tokens waits for room", self._folder, error.strerror or error)
        self._failing = True

    def _recovered(self) -> None:
        if self._failing:
            log.warning("%s: the map of tokens goes on, %d entries were dropped", self._folder, self._dropped)
        self._failing = False


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # it went in between
        return 0
