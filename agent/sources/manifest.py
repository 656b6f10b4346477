"""A list of files and their SHA-256, as `sha256sum` writes it: what should be in a folder."""

from __future__ import annotations

import re
from pathlib import Path

MAX_BYTES = 16 << 20
NAMES = ("SHA256SUMS", "sha256sums.txt", "MANIFEST.sha256")

_LINE = re.compile(rb"\\?([0-9A-Fa-f]{64}) [ *](?:\./)?([^\n\r\0]{1,4096})\r?")


class Manifest:
    """One of them, read again when it changes."""

    def __init__(self, folder: Path, path: str = "") -> None:
        """path: of the manifest; without one, the first of `NAMES` that is in the folder."""
        self.listed: dict[bytes, bytes] = {}
        """Path below the folder → digest."""
        self.there = False
        """Whether there is one: without it nothing can be said to be missing or unlisted."""
        self._paths = (Path(path),) if path else tuple(folder / name for name in NAMES)
        self._own = {bytes(own.relative_to(folder)) for own in self._paths if own.is_relative_to(folder)}
        self.path = str(self._paths[0])
        """Of the one that was read last."""
        self._known: tuple[int, int, int] | None = None

    def is_one(self, name: bytes) -> bool:
        """Whether this path below the folder is a manifest itself."""
        return name in self._own

    def refresh(self) -> bool:
        """Read it if it changed; returns whether it did. One that cannot be read, or is no manifest, lists nothing."""
        for path in self._paths:
            try:
                stat = path.stat()
                known = stat.st_ino, stat.st_size, stat.st_mtime_ns
                if known == self._known:
                    return False
                content = path.read_bytes() if stat.st_size <= MAX_BYTES else b""
            except OSError:
                continue
            self._known, self.there, self.path = known, True, str(path)
            self.listed = {found[2]: bytes.fromhex(found[1].decode()) for found in _lines(content)}
            return True
        gone, self.there, self._known, self.listed = self.there, False, None, {}
        return gone

    def verdict(self, name: bytes, digest: bytes) -> str:
        """`listed`, `differs` or `unlisted`; empty where there is no manifest."""
        if not self.there or self.is_one(name):
            return ""
        expected = self.listed.get(name)
        if expected is None:
            return "unlisted"
        return "listed" if expected == digest else "differs"


def _lines(content: bytes) -> list[re.Match[bytes]]:
    found = (_LINE.fullmatch(line) for line in content.split(b"\n"))
    return [one for one in found if one]
