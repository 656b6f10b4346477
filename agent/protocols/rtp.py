# cython: language_level=3, annotation_typing=False
"""RTP (RFC 3550 §5.1): that there is a stream of media, told once; its content is not looked at.

Its header is weak evidence, so that a stream is told only after packets in sequence. Where STUN (RFC 8489 §5) or DTLS
(RFC 9147 §5.3) came first on the same ports, as in browsers' calls, the ends have negotiated, and nothing is told.
"""

from __future__ import annotations

from agent.protocol import DONE, Parser

HEADER = 12
IN_SEQUENCE = 4
"""Packets of one direction and one source that make a stream."""
MOST_LOST = 16
"""Packets that may be missing between two in sequence."""
MOST_SHOWN = 16
"""Datagrams after which nothing more is looked for."""
FIRST_PORT = 1024
_COOKIE = b"\x21\x12\xa4\x42"
_DTLS = (b"\xfe\xff", b"\xfe\xfd")
_HANDSHAKE = 22


class Rtp(Parser):
    """Tells a stream once."""

    __slots__ = ("_confirmed", "_last", "_runs", "_shown")

    transports = frozenset({"udp"})
    first_bytes = bytes([0, 1, _HANDSHAKE, *range(0x80, 0xC0)])

    def __init__(self) -> None:
        self._begin()
        self._last = [0, 0]
        """Of each direction the source and the sequence number."""
        self._runs = [0, 0]
        self._shown = 0
        self._confirmed = False

    @property
    def name(self) -> str:  # type: ignore[override] # until it is sure, it names nothing
        """`network.protocol` of the flow, once it is known."""
        return "rtp" if self._confirmed else ""

    @staticmethod
    def looks_like(payload: bytes, source_port: int, destination_port: int) -> bool:
        """Whether this may be a packet of a stream, or of what negotiates one."""
        ports = source_port >= FIRST_PORT and destination_port >= FIRST_PORT
        return ports and (_is_media(payload) or _negotiates(payload))

    def data(self, direction: int, payload: bytes, length: int, when: int) -> int:  # noqa: ARG002 - as captured it suffices
        """Take a datagram."""
        self._shown += 1
        if _is_media(payload):
            last = self._last[direction]
            this = _number(payload, 8, 12) << 16 | _number(payload, 2, 4)
            follows = this >> 16 == last >> 16 and 0 < (this - last) & 0xFFFF <= MOST_LOST
            runs = self._runs[direction] + 1 if follows else 1
            self._last[direction] = this
            self._runs[direction] = runs
            if runs >= IN_SEQUENCE:
                self._confirmed = True
                self.note("network.session", when, {"protocol": "rtp", "action": "media"})
                return DONE
        elif _negotiates(payload):
            return DONE
        return DONE if self._shown >= MOST_SHOWN else 0


def _is_media(payload: bytes) -> bool:
    """Whether it begins with an RTP header: version 2, a payload type of media and not of RTCP (RFC 5761 §4), a source."""
    if len(payload) < HEADER or payload[0] >> 6 != 2:
        return False
    kind = payload[1] & 0x7F
    return (kind <= 34 or kind >= 96) and _number(payload, 8, 12) != 0


def _negotiates(payload: bytes) -> bool:
    if payload[0] < 2:
        return payload[4:8] == _COOKIE
    return payload[0] == _HANDSHAKE and payload[1:3] in _DTLS


def _number(payload: bytes, begin: int, end: int) -> int:
    """Those bytes as a number."""
    number = 0
    for position in range(begin, end):
        number = number << 8 | payload[position]
    return number
