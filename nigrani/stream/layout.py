"""The spool's directory: what it holds, whose it is, and what each group of readers has committed.

    spool.json                       format and version
    <offset>-<event number>.log      segments, see `segment`
    <group>.offset                   the group's place and its CRC-32, one line of text

Directory mode 0700, files 0600: a spool is for its owner's eyes only.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

from nigrani.stream.bus import BusError, Place

FORMAT = "nigrani spool"
VERSION = 1
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What the system says when a disk, or a user's share of it, is full."""

_GROUP = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_PLACE = re.compile(rb"((?:\d{20} ){4})([0-9a-f]{8})\n")


def prepare(path: str | os.PathLike[str]) -> Path:
    """The directory of a spool, made if need be. Raises BusError where it cannot be one."""
    directory = Path(path)
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (directory / "spool.json").exists():
            _found(directory)
        existing(directory)
        directory.chmod(0o700)
    except (FileExistsError, NotADirectoryError):
        raise BusError(f"{directory} is not a directory: remove the file, or choose another path") from None
    except PermissionError:
        raise BusError(f"{directory} cannot be written by user {os.geteuid()}: give it to this user") from None
    return directory


def existing(path: str | os.PathLike[str]) -> Path:
    """The directory of a spool that is there. Raises BusError where there is none that this release reads."""
    directory = Path(path)
    try:
        text = (directory / "spool.json").read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise BusError(f"{directory} holds no spool: check the path") from None
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise BusError(f"{directory}/spool.json does not describe a spool: restore it, or move the directory away")
    if found.get("version") != VERSION:
        raise BusError(
            f"{directory} has spool version {found.get('version')!r} and this release reads {VERSION}: "
            "use the release that wrote it, or move the directory away"
        )
    return directory


def lock(directory: Path) -> int:
    """A descriptor of the directory, locked for its one writer. Raises BusError where another process has it."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise BusError(f"{directory} has a writer already: stop it, or choose a directory for this one") from None
    return fd


def group_file(directory: Path, group: str) -> Path:
    """Where the group's place is kept. Raises ValueError for what is no name of a group."""
    if not _GROUP.fullmatch(group):
        raise ValueError(f"{group!r} is no name of a group: use up to 63 lower-case letters, digits, _ and -")
    return directory / f"{group}.offset"


def groups(directory: Path) -> Iterator[tuple[str, Place | None]]:
    """Each group that ever read here and its place, None where that is damaged."""
    for path in sorted(directory.glob("*.offset")):
        if _GROUP.fullmatch(path.stem):
            yield path.stem, read_place(path)


def read_place(path: Path) -> Place | None:
    """What a group committed; None where it did not yet, or where the file is damaged."""
    try:
        match = _PLACE.fullmatch(path.read_bytes())
    except FileNotFoundError:
        return None
    if match is None or zlib.crc32(match[1]) != int(match[2], 16):
        return None
    return Place(*map(int, match[1].split()))


def write_place(path: Path, place: Place) -> None:
    """Commit, durably; on a full disk by overwriting the file, whose length is always one, so that it needs no room."""
    numbers = b"".join(b"%020d " % number for number in place)
    text = numbers + b"%08x\n" % zlib.crc32(numbers)
    try:
        _replace(path, text)
    except OSError as error:
        if error.errno not in FULL or not path.exists():
            raise
        _write(path, text, 0)


def _found(directory: Path) -> None:
    """Make an empty directory a spool. Another process may be doing the same."""
    others = [entry.name for entry in directory.iterdir() if entry.name[0] != "." and entry.name != "lost+found"]
    if others and not (directory / "spool.json").exists():
        raise BusError(f"{directory} holds other files, such as {others[0]}: give the spool a directory of its own")
    _replace(directory / "spool.json", json.dumps({"format": FORMAT, "version": VERSION}).encode() + b"\n")


def _replace(path: Path, content: bytes) -> None:
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        _write(aside, content, os.O_CREAT | os.O_TRUNC)
        aside.replace(path)
    except OSError:
        aside.unlink(missing_ok=True)
        raise


def _write(path: Path, content: bytes, flags: int) -> None:
    fd = os.open(path, os.O_WRONLY | flags, 0o600)
    try:
        if os.write(fd, content) < len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(fd)
    finally:
        os.close(fd)
