"""A look through a folder, and one file's SHA-256 read piece by piece."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from typing import NamedTuple

PIECE = 262_144
MAX_DEPTH = 16
FIRST_PERSON, NOBODY = 1000, 65_534
"""User ids below the one are the system's (`SYS_UID_MAX` of login.defs), and from the other on nobody's."""


class Seen(NamedTuple):
    """One file as it was looked at."""

    inode: int
    size: int
    modified: int
    changed: int
    owner: str
    """root, service (a system account), person or unknown."""
    writable: str
    """Who else can write it: nobody, group or everybody."""
    digest: str = ""
    verdict: str = ""
    """Of the manifest, as it was told."""

    @classmethod
    def of(cls, there: os.stat_result) -> Seen:
        """What `lstat` tells."""
        return cls(there.st_ino, there.st_size, there.st_mtime_ns, there.st_ctime_ns, _owner(there), _writable(there))

    def unchanged(self, other: Seen) -> bool:
        """Whether the file need not be read again."""
        return self[:6] == other[:6]


class Walk:
    """One look: (path below the root, what it is) of every plain file and link; no link is followed."""

    def __init__(self, root: bytes) -> None:
        self.blind = 0
        """Folders that could not be read: of what is in them, nothing is known."""
        self._root = root
        self._entries = self._walk()

    def __iter__(self) -> Iterator[tuple[bytes, os.stat_result]]:
        return self._entries

    def _walk(self) -> Iterator[tuple[bytes, os.stat_result]]:
        folders = [(b"", 0)]
        while folders:
            below, depth = folders.pop()
            try:
                with os.scandir(join(self._root, below)) as entries:
                    for entry in entries:
                        name = join(below, entry.name)
                        if entry.is_dir(follow_symlinks=False):
                            folders += [(name, depth + 1)] if depth < MAX_DEPTH else []
                            self.blind += depth >= MAX_DEPTH
                        elif entry.is_file(follow_symlinks=False) or entry.is_symlink():
                            yield name, entry.stat(follow_symlinks=False)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError:
                self.blind += 1


class Hashing:
    """One file, or one link, whose content is where it points."""

    def __init__(self, root: bytes, name: bytes, seen: Seen) -> None:
        """Raises OSError where it cannot be read."""
        self.name = name
        self.seen = seen
        self.digest = hashlib.sha256()
        self._fd = -1
        self._offset = 0
        path = join(root, name)
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            self.digest.update(os.readlink(path))  # noqa: PTH115 names are bytes

    def step(self) -> int:
        """Bytes read; 0 at the end, -1 where it is not, or not any more, the file that was looked at."""
        if self._fd < 0:
            return 0
        try:
            data = os.pread(self._fd, PIECE, self._offset)
            os.posix_fadvise(self._fd, self._offset, len(data), os.POSIX_FADV_DONTNEED)
            there = os.fstat(self._fd)
        except OSError:
            return -1
        self.digest.update(data)
        self._offset += len(data)
        seen = self.seen
        same = (there.st_ino, there.st_size, there.st_mtime_ns) == (seen.inode, seen.size, seen.modified)
        return len(data) if same and (data or self._offset == seen.size) else -1

    def close(self) -> None:
        """Let go of it."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def join(folder: bytes, name: bytes) -> bytes:
    """Path of a name in a folder; names are bytes, as the kernel has them."""
    return folder + b"/" + name if folder and name else folder or name


def _owner(there: os.stat_result) -> str:
    if there.st_uid == 0:
        return "root"
    if there.st_uid >= NOBODY:
        return "unknown"
    return "service" if there.st_uid < FIRST_PERSON else "person"


def _writable(there: os.stat_result) -> str:
    if stat.S_ISLNK(there.st_mode):
        return "nobody"
    if there.st_mode & stat.S_IWOTH:
        return "everybody"
    return "group" if there.st_mode & stat.S_IWGRP else "nobody"
