"""Opens the sealed map: what some tokens stand for, with the private key; boxes without them stay shut."""

from __future__ import annotations

import ipaddress
import re
import sys
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple

from agent.privacy import Tokens
from agent.sealed import MAX_VALUE, Entry, Record, entries_of, files, key_of, records
from nigrani.service.errors import Problem

TOKEN = re.compile(r"(?:ip|mac|ae|user|study|name|host):[0-9a-f]{16}")
KEY_LINE = re.compile(r"[0-9a-f]{64}")
MAX_KEY_FILE = 4096


class Meaning(NamedTuple):
    """What a token stands for."""

    token: str
    value: str
    """Printable: what is not stands as an escape."""
    first_seen: int
    """Milliseconds since the epoch: the earliest in the map, which may have been seen before that."""
    proven: bool
    """Whether the value gives this token under the site's present key; if not, it is of an earlier key, cut, or forged."""


class Found(NamedTuple):
    """What a map has of some tokens."""

    meanings: list[Meaning]
    foreign: int
    """Files sealed to another key."""
    broken: int
    """Boxes that did not open."""


class Opener:
    """One map, opened with one key."""

    def __init__(self, folder: Path, private: bytes, tokens: Tokens) -> None:
        """private: 32 bytes. tokens: under the site's key, to hold values against. Raises Problem without PyNaCl."""
        try:
            from nacl.exceptions import CryptoError  # noqa: PLC0415 - loaded only where a map is opened
            from nacl.public import PrivateKey, SealedBox  # noqa: PLC0415 - as above
        except ModuleNotFoundError:
            raise Problem("reveal needs PyNaCl: pip install nigrani[map]") from None
        key = PrivateKey(private)
        self._folder = folder
        self._box = SealedBox(key)
        self._refused = CryptoError
        self._public = bytes(key.public_key)
        self._tokens = tokens
        self._known: dict[tuple[str, bytes], int] = {}
        self._foreign: set[bytes] = set()
        self._files = self._broken = 0

    def find(self, wanted: Collection[str]) -> Found:
        """What the map has of these tokens. Raises Problem where there is no map, or all of it is for another key."""
        digests = {bytes.fromhex(token.partition(":")[2]) for token in wanted}
        there = files(self._folder)
        if not there:
            raise Problem(f"{self._folder}: no map of tokens; see --state, and privacy.map.key for the agent to keep one")
        for path in there:
            self._read(path, digests, wanted)
        if self._foreign and not self._files:
            keys = ", ".join(sorted(key.hex()[:16] for key in self._foreign))
            raise Problem(f"the map is sealed to {keys}…, and this is the private key of {self._public.hex()[:16]}…")
        meanings = [self._meaning(token, value, when) for (token, value), when in self._known.items()]
        return Found(sorted(meanings, key=lambda one: (one.token, one.first_seen)), len(self._foreign), self._broken)

    def _read(self, path: Path, digests: set[bytes], wanted: Collection[str]) -> None:
        try:
            data = path.read_bytes()
        except FileNotFoundError:  # the oldest went while we read
            return
        if key_of(data) != self._public:
            self._foreign.add(key_of(data))
            return
        self._files += 1
        for _, record in records(data):
            if not digests.isdisjoint(record.tokens):
                self._open(record, wanted)

    def _open(self, record: Record, wanted: Collection[str]) -> None:
        try:
            when, entries = entries_of(self._box.decrypt(record.box), record.tokens)
        except (self._refused, ValueError):
            self._broken += 1
            return
        for entry in entries:
            token = f"{entry.kind}:{entry.token.hex()}"
            if token in wanted:
                before = self._known.get((token, entry.value), when)
                self._known[token, entry.value] = min(before, when)

    def _meaning(self, token: str, value: bytes, when: int) -> Meaning:
        kind = token.partition(":")[0]
        proven = len(value) < MAX_VALUE and self._tokens.of(kind, value) == token
        return Meaning(token, shown(Entry(kind, b"", value)), when, proven)


def shown(entry: Entry) -> str:
    """A value for a terminal: it was written by who knows whom."""
    text = escaped(entry.value.decode("utf-8", "backslashreplace"))
    if entry.kind == "mac" and len(entry.value) == 6:
        return entry.value.hex(":")
    if entry.kind == "ip" and len(entry.value) in {4, 16}:
        address = str(ipaddress.ip_address(entry.value))
        return f"{address} (or the text {text})" if entry.value.isalnum() else address
    return text


def escaped(text: str) -> str:
    """Printable, on one line, and told apart from what was written so."""
    return "".join(letter if letter.isprintable() and letter != "\\" else _escape(letter) for letter in text)


def read_key(path: Path) -> bytes:
    """The private key of a file, or of standard input for `-`. Raises Problem where it has none, or others can read it."""
    try:
        if str(path) == "-":
            text = sys.stdin.read(MAX_KEY_FILE)
        else:
            if path.stat().st_mode & 0o077:
                raise Problem(f"private key {path} can be read by others; chmod 600 it, or pass it on with --key -")
            with path.open(encoding="ascii", errors="replace") as file:
                text = file.read(MAX_KEY_FILE)
    except OSError as error:
        raise Problem(f"private key {path}: {error.strerror or error}") from None
    found = next((line for line in lines_of(text) if KEY_LINE.fullmatch(line)), "")
    if not found:
        raise Problem(f"private key {path}: no line of 64 hexadecimal digits; see nigrani agent reveal --make-key")
    return bytes.fromhex(found)


def lines_of(text: str) -> Iterable[str]:
    """Without remarks."""
    return (line.strip() for line in text.splitlines() if not line.startswith("#"))


def _escape(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")
