"""One question to a time server, and what its answer says of our clock (RFC 4330, RFC 5905).

The answer comes from the network: it is believed only where it repeats our question's 64 random bits, and says nothing
that a synchronized server would not.
"""

from __future__ import annotations

import secrets
import socket
import struct
import time
from typing import NamedTuple

PORT = 123
SECONDS = 5.0
"""To wait for an answer."""
MAX_DISTANCE = 1.5
"""Seconds that a server may be from its own source of time: half its root delay and its root dispersion."""
SLACK = 0.1
"""Seconds by which a path may seem shorter than nothing, for the two clocks' granularity."""

_PACKET = struct.Struct("!BBbbII4sQQQQ")
_CLIENT = 4 << 3 | 3
"""Version 4, mode 3, no word on leap seconds."""
_SERVER = 4
_UNSYNCHRONIZED = 3
_ERA = 1 << 32
_TO_1970 = 2_208_988_800


class Answer(NamedTuple):
    """What one answer says."""

    offset: float
    """Seconds to add to our clock; wrong by half of `delay` at most."""
    delay: float
    """Seconds on the way, there and back."""


class Kiss(ValueError):  # noqa: N818 - its name in the standard
    """A kiss-o'-death: the server does not want to be asked, or not so often (RFC 5905, section 7.4)."""

    def __init__(self, code: str) -> None:
        super().__init__(f"the server declines: {code}")
        self.code = code


def ask(host: str, port: int = PORT) -> Answer:
    """Ask once. Raises OSError where nobody answers, Kiss, and ValueError for an answer that is none."""
    family, kind, _, _, address = socket.getaddrinfo(host.encode(), port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind) as asker:
        asker.settimeout(SECONDS)
        asker.connect(address)  # answers come from there alone
        nonce = secrets.randbits(64) | 1
        sent, began = time.time(), time.monotonic()
        asker.send(question(nonce))
        packet = asker.recv(1024)
        return answer(packet, nonce, sent, sent + time.monotonic() - began)


def question(nonce: int) -> bytes:
    """What is sent. nonce: in place of our own time, which is nobody's business."""
    return _PACKET.pack(_CLIENT, 0, 0, 0, 0, 0, b"", 0, 0, 0, nonce)


def answer(packet: bytes, nonce: int, sent: float, arrived: float) -> Answer:
    """What a packet says. sent, arrived: by our clock, seconds since 1970. Raises Kiss or ValueError."""
    if len(packet) < _PACKET.size:
        raise ValueError(f"{len(packet)} bytes are no answer")
    first, stratum, _, _, root_delay, dispersion, reference, _, originate, received, transmitted = _PACKET.unpack_from(
        packet
    )
    if first & 7 != _SERVER or not 3 <= first >> 3 & 7 <= 4:
        raise ValueError(f"not a server's answer of version 3 or 4: {first:#04x}")
    if originate != nonce:
        raise ValueError("the answer to another question")
    if stratum == 0:
        raise Kiss(
            "".join(letter for letter in reference.decode("ascii", "replace") if letter.isalnum()) or "no reason given"
        )
    if stratum > 15 or first >> 6 == _UNSYNCHRONIZED:
        raise ValueError("the server is not synchronized")
    if not received or not transmitted or root_delay / 131_072 + dispersion / 65_536 > MAX_DISTANCE:
        raise ValueError("the server is too far from its own source of time")
    there, back = _unix(received), _unix(transmitted)
    delay = arrived - sent - (back - there)
    if back < there or delay < -SLACK:
        raise ValueError("the server's own times contradict each other")
    return Answer((there - sent + back - arrived) / 2, max(delay, 0.0))


def _unix(timestamp: int) -> float:
    """Seconds since 1970; from 1968 to 2104, by RFC 4330's reading of the highest bit."""
    era = 0 if timestamp >> 63 else _ERA
    return (timestamp >> 32) + era - _TO_1970 + (timestamp & 0xFFFF_FFFF) / _ERA
