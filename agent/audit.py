"""The trail of reveals: a file to which lines are only added, each with the hash of the one before, and the system's log.

A line is written, and on the disk, before anything is opened, and another before anything is shown. What a token stands
for is never in it. Whoever is root can rewrite the file from some line on; the copy in the system's log (authpriv), where
that goes to another machine, is what such a one cannot.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import pwd
import syslog
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

NAME = "reveal-audit.ndjson"
FIRST = "0" * 64
"""In the place of a hash, in the first line."""
TAIL = 65_536
"""Bytes at the end of the file in which the last line begins; none is longer."""
NOBODY = "4294967295"
"""What the kernel gives as the login's user where nobody logged in."""


class Audit:
    """One file."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME

    def write(self, act: str, **details: object) -> None:
        """Add one line, and have it on the disk. Raises OSError, and nothing may be shown then."""
        fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            size = os.fstat(fd).st_size
            tail = os.pread(fd, TAIL, max(size - TAIL, 0))
            last = tail.removesuffix(b"\n").rpartition(b"\n")[2]
            line = {"time": datetime.now(UTC).isoformat(), "act": act, **who(), **details}
            line["previous"] = hashlib.sha256(last).hexdigest() if size else FIRST
            text = json.dumps(line)
            whole = ("\n" if tail and not tail.endswith(b"\n") else "") + text + "\n"
            if os.write(fd, whole.encode("ascii")) < len(whole):
                raise OSError(f"{self.path}: only part of a line could be written")
            os.fsync(fd)
        finally:
            os.close(fd)
        _tell_system(text)

    def size(self) -> int:
        """Bytes of the trail: more than before where something was asked since."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def faults(self) -> Iterator[str]:
        """Where the chain is broken: lines that were changed, taken out or put in. Raises OSError."""
        previous = FIRST
        for number, line in enumerate(self.path.read_bytes().splitlines(), 1):
            if _previous(line) != previous:
                yield f"{self.path}:{number}: does not follow the line before it"
            previous = hashlib.sha256(line).hexdigest()


def who() -> dict[str, str | int]:
    """Who asks, by what the system knows; `sudo` and the login stay the same through `su`."""
    told: dict[str, str | int] = {"user": _name(os.getuid()), "uid": os.getuid(), "pid": os.getpid()}
    if os.environ.get("SUDO_USER"):
        told["sudo_user"] = os.environ["SUDO_USER"][:64]
    login = _login()
    if login not in {"", NOBODY}:
        told["login"] = _name(int(login))
        told["login_uid"] = int(login)
    return told


def _login() -> str:
    try:
        text = Path("/proc/self/loginuid").read_text(encoding="ascii").strip()
    except OSError:
        return ""
    return text if text.isdigit() else ""


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _previous(line: bytes) -> object:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry.get("previous") if isinstance(entry, Mapping) else None


def _tell_system(text: str) -> None:
    """Silent where no log listens: the file is what counts."""
    syslog.openlog("nigrani-reveal", syslog.LOG_PID, syslog.LOG_AUTHPRIV)
    syslog.syslog(syslog.LOG_NOTICE, text)
    syslog.closelog()
