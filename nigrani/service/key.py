"""Secrets in files: made once, mode 0600, never shown."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from nigrani.service.errors import Problem


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


def site_key(path: Path) -> Secret:
    """The site's 32-byte key, made at first use. Raises Problem where it cannot be read, or others can read it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            pass
        else:
            with os.fdopen(handle, "wb") as file:
                file.write(secrets.token_bytes(32))
        mode = path.stat().st_mode & 0o077
        value = path.read_bytes()
    except OSError as error:
        raise Problem(f"site key {path}: {error.strerror or error}") from None
    if mode:
        raise Problem(f"site key {path} can be read by others; chmod 600 it, and make a new one if it may have leaked")
    if len(value) < 32:
        raise Problem(f"site key {path} has {len(value)} bytes and must have at least 32; restore or delete it")
    return Secret(value)
