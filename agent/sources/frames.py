"""Cuts a syslog connection's bytes into messages, in bounded memory: both framings of RFC 6587, and RFC 5425's."""

from __future__ import annotations

import re

MAX_MESSAGE = 65_536
"""Longer ones are passed over; RFC 5425 §4.3.1 asks for 8192."""

_COUNT = re.compile(rb"([1-9]\d{0,9}) ")
_END = re.compile(rb"[\n\0]")


class Frames:
    """One connection's bytes, cut into messages: each is counted in octets, or ends with LF or NUL (RFC 6587 §3.4)."""

    def __init__(self) -> None:
        self.skipped = 0
        """Messages longer than the bound."""
        self._part = bytearray()
        self._looked = 0
        """How many of its bytes are known to hold no end: a sender of single bytes must not have all looked at for each."""
        self._beyond = 0
        self._skipping = False

    @property
    def within(self) -> bool:
        """Whether a message has begun and not ended."""
        return bool(self._part) or self._beyond > 0 or self._skipping

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that these bytes complete. Raises ValueError where neither framing is kept."""
        self._part += data
        messages: list[bytes] = []
        while self._part:
            before = len(self._part)
            message = self._next()
            if message:
                messages.append(message)
            if len(self._part) == before:
                break
        return messages

    def rest(self) -> bytes:
        """The last message of a closed connection, where no end marks it."""
        whole = not (self._skipping or self._beyond or self._part[:1].isdigit())
        last = bytes(self._part).rstrip(b"\r") if whole else b""
        self._part.clear()
        self._looked = 0
        return last

    def _next(self) -> bytes:
        """Take one message, or a part to pass over, from the bytes held; empty where there is none yet."""
        if self._beyond:
            passed = min(self._beyond, len(self._part))
            self._beyond -= passed
            del self._part[:passed]
        elif self._part[:1].isdigit() and not self._skipping:
            return self._counted()
        else:
            return self._ended()
        return b""

    def _counted(self) -> bytes:
        found = _COUNT.match(self._part)
        if found is None:
            if len(self._part) > 10 or not self._part.isdigit() or self._part[:1] == b"0":
                raise ValueError("no count of octets")
            return b""
        length, start = int(found[1]), found.end()
        del found  # it holds the buffer
        if length > MAX_MESSAGE:
            self.skipped += 1
            self._beyond = length
            del self._part[:start]
        elif len(self._part) >= start + length:
            message = bytes(self._part[start : start + length])
            del self._part[: start + length]
            return message
        return b""

    def _ended(self) -> bytes:
        found = _END.search(self._part, self._looked)
        end = found.start() if found else -1
        del found  # it holds the buffer
        self._looked = 0 if end >= 0 else len(self._part)
        message = b""
        if end >= 0:
            if end <= MAX_MESSAGE and not self._skipping:
                message = bytes(self._part[:end]).rstrip(b"\r")
            elif not self._skipping:
                self.skipped += 1
            self._skipping = False
            del self._part[: end + 1]
        elif len(self._part) > MAX_MESSAGE:
            self.skipped += not self._skipping
            self._skipping = True
            self._part.clear()
            self._looked = 0
        return message
