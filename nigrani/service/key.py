"""Secrets in files: systemd's credentials, or made once with mode 0600; never shown."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from nigrani.service.errors import Problem

CREDENTIAL = "credential:"
"""What a setting of a path begins with that names a credential."""
STORE = Path("/etc/credstore")
"""Where systemd finds our units' credentials, under the name of what they are for."""


class Secret:
    """Bytes whose repr does not tell them."""

    def __init__(self, value: bytes) -> None:
        self.value = value

    def __repr__(self) -> str:
        return "Secret(…)"


def state_folder() -> Path:
    """Where a service keeps what must survive: $STATE_DIRECTORY (systemd), $NIGRANI_STATE, or the user's own state."""
    for name in ("NIGRANI_STATE", "STATE_DIRECTORY"):
        if os.environ.get(name):
            return Path(os.environ[name].split(":")[0])
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "nigrani"


def credential(name: str) -> Path:
    """The file of a credential, as its unit calls it. Raises ValueError with what is wrong.

    A service has its own in $CREDENTIALS_DIRECTORY. A command by hand, or a package's script, has no such folder, and
    takes the file that systemd would take.
    """
    if not name or "/" in name or name.startswith("."):
        raise ValueError(f"{CREDENTIAL}{name} names no credential, such as {CREDENTIAL}site.key")
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if folder is not None:
        path = Path(folder, name)
        if not path.is_file():
            raise ValueError(f"the service was given no credential {name}: put it into {STORE} and restart")
        return path
    found = [place for place in sorted(STORE.glob(f"nigrani*.{name}")) if place.name.partition(".")[2] == name]
    if len(found) != 1:
        seen = " and ".join(place.name for place in found) or "none"
        remedy = "set CREDENTIALS_DIRECTORY, such as to /run/credentials/nigrani-agent.service"
        raise ValueError(
            f"credential {name}: outside of a service, and of {STORE}/nigrani*.{name} one sees {seen}; {remedy}"
        )
    return found[0]


def default_site_key() -> Path:
    """The credential `site.key` where the service was given one, else `site.key` in the state folder."""
    given = Path(os.environ.get("CREDENTIALS_DIRECTORY", "/nonexistent"), "site.key")
    return given if given.is_file() else state_folder() / "site.key"


def site_key(path: Path | None = None) -> Secret:
    """The site's key of 32 bytes, made at first use. Raises Problem where it cannot be read, or others can read it."""
    path = path or default_site_key()
    try:
        if not _is_credential(path):
            _make(path)
    except OSError as error:
        raise Problem(f"site key {path}: {error.strerror or error}") from None
    return read_site_key(path)


def read_site_key(path: Path) -> Secret:
    """A key that is there. Raises Problem as `site_key` does."""
    try:
        mode = path.stat().st_mode & 0o077
        value = path.read_bytes()
    except OSError as error:
        raise Problem(f"site key {path}: {error.strerror or error}") from None
    if mode and not _is_credential(path):
        raise Problem(f"site key {path} can be read by others; chmod 600 it, and make a new one if it may have leaked")
    if len(value) < 32:
        raise Problem(f"site key {path} has {len(value)} bytes and must have at least 32; restore or delete it")
    return Secret(value)


def _is_credential(path: Path) -> bool:
    """Whether systemd keeps it: the access list that opens it to the service's user shows as a right of the group."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    return folder is not None and path.parent == Path(folder)


def _make(path: Path) -> None:
    """The key, unless it is there."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(handle, "wb") as file:
        file.write(secrets.token_bytes(32))
