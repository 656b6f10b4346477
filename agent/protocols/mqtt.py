"""MQTT 3.1, 3.1.1 and 5.0 (OASIS MQTT §2.1, §3.1–§3.8): who connects and how much is published; never a topic."""

from __future__ import annotations

from agent.protocol import Framer, Parser

CONNECT, CONNACK, PUBLISH, PUBREL, SUBSCRIBE, UNSUBSCRIBE, PINGREQ, DISCONNECT, AUTH = 1, 2, 3, 6, 8, 10, 12, 14, 15
PORT = 1883
LONGEST_PACKET = 4 + 268_435_455 + 1
KEEP = 512
VERSIONS = {3: "3.1", 4: "3.1.1", 5: "5.0"}
HAS_USER, HAS_PASSWORD, HAS_WILL = 0x80, 0x40, 0x04
"""Flags of CONNECT (§3.1.2.3)."""


class Mqtt(Parser):
    """Tells connections with their result, publications with their size, and subscriptions."""

    __slots__ = ("_connect", "_framers")

    name = "mqtt"
    transports = frozenset({"tcp"})
    first_bytes = bytes(range(0x10, 0x100))

    def __init__(self) -> None:
        super().__init__()
        self._framers = (Framer(2, KEEP, _size_of), Framer(2, KEEP, _size_of))
        self._connect: dict[str, object] | None = None
        for framer in self._framers:
            framer.reset()

    @staticmethod
    def looks_like(payload: bytes, source_port: int, destination_port: int) -> bool:
        """Whether a CONNECT begins here, or, on MQTT's own port, nothing but whole packets."""
        if payload[:1] == b"\x10":
            body = _body(payload)
            return body is not None and _level(payload, body) != 0
        if PORT not in (source_port, destination_port):
            return False
        return len(payload) >= 2 and _is_whole(payload)

    def data(self, direction: int, payload: bytes, length: int, when: int) -> int:
        """Take the next bytes of one direction."""
        framer = self._framers[direction]
        for packet, size in framer.feed(payload, length):
            kind = packet[0] >> 4
            if kind == CONNECT:
                self._connect = _connect(packet)
            elif kind == CONNACK or (self._connect is not None and direction and kind != AUTH):
                self._connack(packet if kind == CONNACK else b"", when)
            if kind == PUBLISH:
                self.note("network.session", when, {"protocol": "mqtt", "action": "PUBLISH"}, _published(packet, size))
            elif kind == SUBSCRIBE:
                self.note("network.session", when, {"protocol": "mqtt", "action": "SUBSCRIBE"})
        return framer.skip

    def gap(self, direction: int) -> None:
        """Look for the next packet at the start of a segment."""
        self._framers[direction].reset()

    def _connack(self, packet: bytes, when: int) -> None:
        """Note the CONNECT with its result, where that was seen: a code (3.1.1 §3.2.2.3, 5.0 §3.2.2.2)."""
        body = _body(packet)
        fields = self._connect or {"protocol": "mqtt", "action": "CONNECT"}
        self._connect = None
        if body is not None and body + 1 < len(packet):
            code = packet[body + 1]
            fields["outcome"] = "failure" if code else "success"
            if code:
                fields["status"] = str(code)
        self.note("network.session", when, fields)


def _size_of(header: bytes) -> int:
    """Read the packet's length from its fixed header, whose second field is one to four bytes long (§2.1.4)."""
    if not _is_kind(header[0]):
        raise ValueError("no MQTT packet type")
    size = 0
    for place, byte in enumerate(header[1:]):
        size |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return 2 + place + size
    if len(header) >= 5:
        raise ValueError("remaining length of more than four bytes")
    return 0


def _is_kind(first: int) -> bool:
    """Whether type and flags are a packet's (§2.1.3)."""
    kind, flags = first >> 4, first & 15
    if kind == PUBLISH:
        return flags & 6 != 6
    return kind != 0 and flags == (2 if kind in (PUBREL, SUBSCRIBE, UNSUBSCRIBE) else 0)


def _body(packet: bytes) -> int | None:
    """Find the variable header; None where the fixed one is not whole."""
    for place in range(1, min(len(packet), 5)):
        if packet[place] < 0x80:
            return place + 1
    return None


def _level(packet: bytes, body: int) -> int:
    """Read CONNECT's protocol level (§3.1.2.2), 0 where it is no CONNECT."""
    for name in (b"\0\4MQTT", b"\0\6MQIsdp"):
        if packet.startswith(name, body) and len(packet) > body + len(name):
            level = packet[body + len(name)]
            return level if level in VERSIONS else 0
    return 0


def _is_whole(payload: bytes) -> bool:
    """Whether packets fill the payload to its last byte, or the last one is a PUBLISH with a topic name (§3.3.2.1)."""
    position = 0
    while position + 2 <= len(payload):
        body = _body(payload[position : position + 5])
        if body is None or not _is_kind(payload[position]):
            return False
        begin = position
        position += _size_of(payload[position : position + body])
        if payload[begin] >> 4 == PUBLISH and not _is_topic(payload[begin + body : position]):
            return False
        if payload[begin] >> 4 >= PINGREQ and position - begin > 64:
            return False
    return position == len(payload) or (position > len(payload) and payload[0] >> 4 == PUBLISH)


def _is_topic(rest: bytes) -> bool:
    size = rest[0] << 8 | rest[1] if len(rest) > 2 else 0
    topic = rest[2 : 2 + size]
    return 0 < size <= 1024 and min(topic) >= 0x20 and b"#" not in topic and b"+" not in topic


def _connect(packet: bytes) -> dict[str, object]:
    """Read client id and user name from CONNECT's payload (§3.1.3), as far as the kept bytes go."""
    fields: dict[str, object] = {"protocol": "mqtt", "action": "CONNECT"}
    body = _body(packet)
    level = _level(packet, body) if body is not None else 0
    if body is None or not level:
        return fields
    fields["version"] = VERSIONS[level]
    position = body + 2 + packet[body + 1] + 4
    flags = packet[position - 3] if position - 3 < len(packet) else 0
    if level == 5:
        position = _after_properties(packet, position)
    client, position = _string(packet, position)
    if client:
        fields["client_name"] = client.decode("utf-8", "replace")
    if flags & HAS_WILL:
        if level == 5:
            position = _after_properties(packet, position)
        _, position = _string(packet, position)
        _, position = _string(packet, position)
    if flags & HAS_USER:
        user, _ = _string(packet, position)
        if user:
            fields["user"] = user.decode("utf-8", "replace")
    return fields


def _after_properties(packet: bytes, position: int) -> int:
    """Pass MQTT 5's properties over (5.0 §2.2.2)."""
    size = 0
    for place, byte in enumerate(packet[position : position + 4]):
        size |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return position + place + 1 + size
    return len(packet)


def _string(packet: bytes, position: int) -> tuple[bytes, int]:
    """Read a string with a two-byte length (§1.5.3) and its end; empty where it was not kept whole."""
    if position + 2 > len(packet):
        return b"", len(packet)
    end = position + 2 + (packet[position] << 8 | packet[position + 1])
    return packet[position + 2 : end] if end <= len(packet) else b"", end


def _published(packet: bytes, size: int) -> dict[str, int]:
    """Measure the message: the packet less its headers (§3.3); of MQTT 5 with its properties."""
    body = _body(packet) or 2
    if body + 2 <= len(packet):
        body += 2 + (packet[body] << 8 | packet[body + 1])
    if packet[0] & 6:
        body += 2
    return {"size": max(size - body, 0)}
