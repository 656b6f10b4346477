"""A list of files and their SHA-256, as `sha256sum` writes it: what should be in a folder, and who signed for it."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from agent.sources import signature as signatures

MAX_BYTES = 16 << 20
NAMES = ("SHA256SUMS", "sha256sums.txt", "MANIFEST.sha256")
ABSENT = "none"
SIGNATURES = (*signatures.SSH, *signatures.OPENPGP)

_LINE = re.compile(rb"\\?([0-9A-Fa-f]{64}) [ *](?:\./)?([^\n\r\0]{1,4096})\r?")


class Manifest:
    """One of them, read again when it changes."""

    def __init__(self, folder: Path, path: str = "", key: str = "") -> None:
        """path: of the manifest; without one, the first of `NAMES` that is in the folder. key: whose signature it needs."""
        self.listed: dict[bytes, bytes] = {}
        """Path below the folder → digest."""
        self.there = False
        """Whether there is one: without it nothing can be said to be missing or unlisted."""
        self.signature = ""
        """See `signature.check`; empty where no key is known or no manifest is there."""
        self.mark = ABSENT
        """What it is known again by."""
        self._key = key
        self._endings = signatures.endings(key) if key else ()
        self._paths = (Path(path),) if path else tuple(folder / name for name in NAMES)
        every = (*self._paths, *(Path(f"{own}{end}") for own in self._paths for end in SIGNATURES))
        self._own = {bytes(own.relative_to(folder)) for own in every if own.is_relative_to(folder)}
        self.path = str(self._paths[0])
        """Of the one that was read last."""
        self._known: tuple[object, ...] | None = None

    def is_one(self, name: bytes) -> bool:
        """Whether this path below the folder is a manifest itself, or one's signature."""
        return name in self._own

    def refresh(self) -> bool:
        """Read it if it changed; returns whether it did. One that cannot be read, or is no manifest, lists nothing."""
        for path in self._paths:
            known = (_look(path), *(_look(f"{path}{end}") for end in self._endings), _look(self._key))
            if known[0] is None:
                continue
            if known == self._known and self.signature != signatures.UNCHECKED:
                return False
            content = _content(path, MAX_BYTES)
            if content is None:
                continue
            self._known, self.there, self.path = known, True, str(path)
            self.listed = {found[2]: bytes.fromhex(found[1].decode()) for found in _lines(content)}
            self.signature = self._check(content)
            before, self.mark = self.mark, f"{hashlib.sha256(content).hexdigest()} {self.signature}"
            return self.mark != before
        gone, self.there, self._known, self.listed = self.there, False, None, {}
        self.signature, self.mark = "", ABSENT
        return gone

    def _check(self, content: bytes) -> str:
        if not self._key:
            return ""
        found = (_content(f"{self.path}{end}", signatures.MAX_SIGNATURE + 1) for end in self._endings)
        return signatures.check(content, next((one for one in found if one is not None), None), self._key)

    def verdict(self, name: bytes, digest: bytes) -> str:
        """`listed`, `differs` or `unlisted`; empty where there is no manifest."""
        if not self.there or self.is_one(name):
            return ""
        expected = self.listed.get(name)
        if expected is None:
            return "unlisted"
        return "listed" if expected == digest else "differs"


def _look(path: str | Path) -> tuple[int, int, int] | None:
    try:
        there = os.stat(path)  # noqa: PTH116 - a name or a path
    except OSError:
        return None
    return there.st_ino, there.st_size, there.st_mtime_ns


def _content(path: str | Path, limit: int) -> bytes | None:
    """What is in a file, nothing of one that is too large; None where it cannot be read."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - a name or a path
            content = file.read(limit + 1)
    except OSError:
        return None
    return content if len(content) <= limit else b""


def _lines(content: bytes) -> list[re.Match[bytes]]:
    found = (_LINE.fullmatch(line) for line in content.split(b"\n"))
    return [one for one in found if one]
