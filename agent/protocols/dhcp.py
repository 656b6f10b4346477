"""DHCP (RFC 2131 §2, RFC 2132): message types, and what tells one kind of client from another."""

from __future__ import annotations

from agent.protocol import Parser

PORTS = frozenset({67, 68, 4011})
OPTIONS = 240
LONGEST = 1500
"""Bytes of a datagram that are read."""
COOKIE = b"\x63\x82\x53\x63"
HOST_NAME, MESSAGE_TYPE, PARAMETER_LIST, VENDOR_CLASS = 12, 53, 55, 60
MESSAGE_TYPES = (
    "", "DISCOVER", "OFFER", "REQUEST", "DECLINE", "ACK", "NAK", "RELEASE", "INFORM", "FORCERENEW", "LEASEQUERY",
    "LEASEUNASSIGNED", "LEASEUNKNOWN", "LEASEACTIVE", "BULKLEASEQUERY", "LEASEQUERYDONE", "ACTIVELEASEQUERY",
    "LEASEQUERYSTATUS", "TLS",
)  # fmt: skip
OUTCOMES = {"ACK": "success", "NAK": "failure"}


class Dhcp(Parser):
    """Tells each message of a client, and each answer to one."""

    __slots__ = ("_known",)

    name = "dhcp"
    transports = frozenset({"udp"})
    first_bytes = b"\1\2"

    def __init__(self) -> None:
        super().__init__()
        self._known = False

    @staticmethod
    def looks_like(payload: bytes, source_port: int, destination_port: int) -> bool:
        """Whether a BOOTP header is here, with DHCP's cookie after it where the capture goes so far."""
        if not _is_header(payload):
            return False
        if len(payload) >= OPTIONS:
            return payload[OPTIONS - 4 : OPTIONS] == COOKIE
        return source_port in PORTS and destination_port in PORTS

    def data(self, direction: int, payload: bytes, length: int, when: int) -> int:
        """Take a datagram. All clients without an address share one conversation: a bad one does not end it."""
        del direction, length
        if not _is_header(payload) or payload[OPTIONS - 4 : OPTIONS] not in (COOKIE, b""):
            if not self._known:
                raise ValueError("no DHCP header")
            return 0
        self._known = True
        options = _options(payload)
        kind = options.get(MESSAGE_TYPE, b"\0")[0]
        action = MESSAGE_TYPES[kind] if kind < len(MESSAGE_TYPES) else f"TYPE{kind}"
        fields: dict[str, object] = {
            "protocol": "dhcp",
            "action": action or ("BOOTREQUEST", "BOOTREPLY")[payload[0] - 1],
            "outcome": OUTCOMES.get(action, ""),
            "fingerprint": ",".join(map(str, options.get(PARAMETER_LIST, b""))),
            "client_software": options.get(VENDOR_CLASS, b"").decode("latin-1"),
            "client_name": options.get(HOST_NAME, b"").decode("latin-1"),
            "client_mac": payload[28:34].hex(":"),
        }
        self.note("network.session", when, {name: value for name, value in fields.items() if value})
        return 0


def _is_header(payload: bytes) -> bool:
    """Whether the fixed fields are those of a client with an Ethernet address (RFC 2131 §2)."""
    return len(payload) >= 44 and payload[0] in (1, 2) and payload[1:3] == b"\1\6" and payload[3] <= 16


def _options(payload: bytes) -> dict[int, bytes]:
    """Options by code (RFC 2132 §2), up to where the capture ends; parts of one option are joined (RFC 3396)."""
    options: dict[int, bytes] = {}
    position = OPTIONS
    while position + 1 < min(len(payload), LONGEST):
        code = payload[position]
        if code == 255:
            break
        if not code:
            position += 1
            continue
        size = payload[position + 1]
        value = payload[position + 2 : position + 2 + size]
        if value and len(value) == size:
            options[code] = options.get(code, b"") + value
        position += 2 + size
    return options
