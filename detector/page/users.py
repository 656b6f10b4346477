"""Who may log in: a file of names, roles and scrypt hashes, one user a line, written by `nigrani case user`."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import logging
import os
import re
import secrets
import tempfile
import threading
from pathlib import Path
from typing import NamedTuple

from nigrani.service.errors import BadConfig, Fault, Problem

ROLES = ("view", "respond", "reveal")
"""Each may do what those before it may."""
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")
LEAST_PASSWORD, MOST_PASSWORD = 12, 1024
MAX_USERS = 1000
N, R, P = 1 << 15, 8, 1
"""scrypt's cost: 32 MB and about a tenth of a second."""
MAX_N = 1 << 17
_MEMORY = 256 * 1024 * 1024
REMEDY = "write it with nigrani case user NAME --role ROLE"

log = logging.getLogger(__name__)


class User(NamedTuple):
    """One line of the file."""

    name: str
    role: str
    hash: str

    def may(self, role: str) -> bool:
        """Whether the user's role reaches as far."""
        return ROLES.index(self.role) >= ROLES.index(role)


class Users:
    """The file, read again when it changes."""

    def __init__(self, path: Path) -> None:
        """Raises Problem where it cannot be read, BadConfig where it is faulty or empty."""
        self._path = path
        self._stamp = self._look()
        self._users = read(path)
        self._trouble = ""
        self._lock = threading.Lock()
        if not self._users:
            raise BadConfig([Fault(str(path), 0, "nobody may log in", REMEDY)])

    def get(self, name: str) -> User | None:
        """The user as the file has it now; of a file that cannot be read any more, nobody."""
        with self._lock:
            try:
                stamp = self._look()
                if stamp != self._stamp:
                    self._users = read(self._path)
                    self._stamp = stamp
            except Problem as problem:
                if str(problem) != self._trouble:
                    log.error("nobody can log in: %s", str(problem).replace("\n", "; "))  # noqa: TRY400 - one line
                self._trouble = str(problem)
                return None
            self._trouble = ""
            return self._users.get(name)

    def check(self, name: str, password: str) -> User | None:
        """The user whose password it is. Takes as long for a name that nobody has."""
        user = self.get(name)
        right = matches(user.hash if user else _NOBODY, password)
        return user if user and right else None

    def _look(self) -> tuple[int, int, int]:
        try:
            status = self._path.stat()
        except OSError as error:
            raise Problem(f"page.users {self._path}: {error.strerror or error}; {REMEDY}") from None
        return status.st_ino, status.st_mtime_ns, status.st_size


def read(path: Path) -> dict[str, User]:
    """The users of a file. Raises Problem and BadConfig."""
    try:
        mode = path.stat().st_mode
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise Problem(f"page.users {path}: {error.strerror or error}; {REMEDY}") from None
    if mode & 0o037:
        raise Problem(f"page.users {path} can be read by others; chmod 600 it, or 640 where its group is the service's")
    users: dict[str, User] = {}
    faults = []
    for number, line in enumerate(lines, 1):
        if not line or line.startswith("#"):
            continue
        name, _, rest = line.partition(":")
        role, _, digest = rest.partition(":")
        fault = _fault(name, role, digest, users)
        if fault:
            faults.append(Fault(str(path), number, fault, REMEDY))
        else:
            users[name] = User(name, role, digest)
    if faults:
        raise BadConfig(faults)
    return users


def _fault(name: str, role: str, digest: str, users: dict[str, User]) -> str:
    if not NAME.fullmatch(name):
        return "no name of a user"
    if name in users:
        return f"{name} is there already"
    if role not in ROLES:
        return f"{name}: no role {role!r}, one of {', '.join(ROLES)}"
    if _parts(digest) is None:
        return f"{name}: no scrypt hash"
    return "" if len(users) < MAX_USERS else f"more than {MAX_USERS} users"


def write(path: Path, users: dict[str, User]) -> None:
    """Replace the file at once, readable by whom it was before. Raises OSError.

    A new one is its folder's owner's alone; in root's folder with the service's group, that group reads it too.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write("# name:role:hash, written by nigrani case user\n")
            file.writelines(f"{user.name}:{user.role}:{user.hash}\n" for user in users.values())
            file.flush()
            os.fsync(file.fileno())
            status = (path if path.exists() else path.parent).stat()
            with contextlib.suppress(PermissionError):  # for root alone: the service that reads it is another user
                os.fchown(file.fileno(), status.st_uid, status.st_gid)
                os.fchmod(file.fileno(), _mode(path, status))
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise


def _mode(path: Path, status: os.stat_result) -> int:
    """Of the file before, or of a new one in the folder."""
    if path.exists():
        return status.st_mode & 0o640
    return 0o640 if status.st_uid == 0 != status.st_gid else 0o600


def hashed(password: str) -> str:
    """`scrypt$n$r$p$salt$key`, of a new salt."""
    salt = secrets.token_bytes(16)
    return "$".join(("scrypt", str(N), str(R), str(P), _text(salt), _text(_derive(password, salt, N, R, P))))


def matches(digest: str, password: str) -> bool:
    """Whether it is the password of this hash."""
    parts = _parts(digest)
    if parts is None or len(password) > MOST_PASSWORD:
        return False
    n, r, p, salt, key = parts
    return hmac.compare_digest(_derive(password, salt, n, r, p), key)


def _parts(digest: str) -> tuple[int, int, int, bytes, bytes] | None:
    words = digest.split("$")
    try:
        kind, n, r, p = words[0], int(words[1]), int(words[2]), int(words[3])
        salt, key = (base64.b64decode(word, validate=True) for word in words[4:])
    except (ValueError, IndexError):
        return None
    sound = kind == "scrypt" and 1 < n <= MAX_N and not n & (n - 1) and 1 <= r <= 8 and 1 <= p <= 4
    return (n, r, p, salt, key) if sound and len(salt) >= 8 and len(key) == 32 else None


def _derive(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, maxmem=_MEMORY, dklen=32)


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()


_NOBODY = "$".join(("scrypt", str(N), str(R), str(P), _text(bytes(16)), _text(bytes(32))))
