"""RDP's opening: the X.224 connection and, where it stays in clear, the client's core data (MS-RDPBCGR §2.2.1)."""

from __future__ import annotations

import re

from agent.protocol import DONE, Framer, Parser

TPKT_HEADER = 4
CONNECTION_REQUEST, CONNECTION_CONFIRM, DATA = 0xE0, 0xD0, 0xF0
NEGOTIATION_REQUEST, NEGOTIATION_RESPONSE, NEGOTIATION_FAILURE = 1, 2, 3
PORT = 3389
KEEP = 512
PATIENCE = 4096
"""Bytes shown before a conversation whose opening does not end is given up."""
PROTOCOLS = {1: "tls", 2: "hybrid", 4: "rdstls", 8: "hybrid_ex", 16: "rdsaad"}
"""Of requestedProtocols and selectedProtocol (§2.2.1.1.1, §2.2.1.2.1); none of them is RDP's own security."""
FAILURES = {
    1: "SSL_REQUIRED_BY_SERVER", 2: "SSL_NOT_ALLOWED_BY_SERVER", 3: "SSL_CERT_NOT_ON_SERVER", 4: "INCONSISTENT_FLAGS",
    5: "HYBRID_REQUIRED_BY_SERVER", 6: "SSL_WITH_USER_AUTH_REQUIRED_BY_SERVER",
}  # fmt: skip

_COOKIE = re.compile(rb"Cookie: mstshash=([^\r\n]{1,64})\r\n")


class Rdp(Parser):
    """Tells what the client asked for and what the server chose, then is done."""

    __slots__ = ("_framers", "_in_clear", "_seen")

    name = "rdp"
    transports = frozenset({"tcp"})
    first_bytes = b"\3"

    def __init__(self) -> None:
        super().__init__()
        self._framers = (Framer(TPKT_HEADER, KEEP, _size_of), Framer(TPKT_HEADER, KEEP, _size_of))
        self._in_clear = False
        self._seen = 0
        for framer in self._framers:
            framer.reset()

    @staticmethod
    def looks_like(payload: bytes, source_port: int, destination_port: int) -> bool:
        """Whether an X.224 connection request or confirm with RDP's own fields is here, or a bare one on RDP's port."""
        if payload[:3] != b"\3\0\0" or len(payload) < 11:
            return False
        size, indicator, kind = payload[3], payload[4], payload[5]
        if kind not in (CONNECTION_REQUEST, CONNECTION_CONFIRM) or indicator != size - 5 or payload[10]:
            return False
        if size == 11:
            return PORT in (source_port, destination_port)
        variable = payload[11:size]
        if kind == CONNECTION_CONFIRM:
            return len(variable) == 8 and variable[0] in (2, 3) and variable[2:4] == b"\x08\0"
        return variable.startswith(b"Cookie: mst") or (len(variable) == 8 and variable[:4] == b"\1\0\x08\0")

    def data(self, direction: int, payload: bytes, length: int, when: int) -> int:
        """Take the next bytes of one direction."""
        framer = self._framers[direction]
        self._seen += len(payload)
        for message, _ in framer.feed(payload, length):
            kind = message[5] if len(message) > 5 else 0
            if kind == CONNECTION_REQUEST:
                self.note("network.session", when, _request(message))
            elif kind == CONNECTION_CONFIRM:
                self._in_clear = self._confirm(message, when)
            elif kind == DATA and self._in_clear and direction == 0:
                self._core_data(message, when)
                self._in_clear = False
            if kind != CONNECTION_REQUEST and not self._in_clear:
                return DONE
        return framer.skip if self._seen < PATIENCE else DONE

    def gap(self, direction: int) -> None:
        """Look for the next message at the start of a segment."""
        self._framers[direction].reset()

    def _confirm(self, message: bytes, when: int) -> bool:
        """Note the server's choice or refusal (§2.2.1.2); whether what follows is in clear."""
        fields: dict[str, object] = {"protocol": "rdp", "action": "connection_confirm", "outcome": "success"}
        kind, code = _negotiation(message)
        if kind == NEGOTIATION_FAILURE:
            fields["outcome"] = "failure"
            fields["status"] = FAILURES.get(code) or str(code)
        else:
            fields["version"] = _protocols(code)
        self.note("network.session", when, fields)
        return kind != NEGOTIATION_FAILURE and code == 0

    def _core_data(self, message: bytes, when: int) -> None:
        """Note client build and name from the GCC conference create request (§2.2.1.3.2)."""
        start = message.find(b"\x01\xc0", max(message.find(b"Duca"), TPKT_HEADER))  # after T.124's client-to-server key
        block = message[start : start + 56]
        if start < 0 or len(block) < 56:
            return
        fields: dict[str, object] = {"protocol": "rdp", "action": "client_core_data"}
        fields["client_software"] = f"build {int.from_bytes(block[20:24], 'little')}"
        name = block[24:56].decode("utf-16-le", "replace").split("\0", 1)[0]
        if name:
            fields["client_name"] = name
        self.note("network.session", when, fields)


def _size_of(header: bytes) -> int:
    """Read the length of a TPKT (RFC 1006 §6)."""
    size = header[2] << 8 | header[3]
    if header[0] != 3 or header[1] or size < 7:
        raise ValueError("no TPKT header")
    return size


def _request(message: bytes) -> dict[str, object]:
    """Read a connection request's cookie and protocols (§2.2.1.1)."""
    fields: dict[str, object] = {"protocol": "rdp", "action": "connection_request"}
    cookie = _COOKIE.search(message)
    if cookie is not None:
        fields["user"] = cookie[1].decode("latin-1")
    kind, code = _negotiation(message)
    fields["version"] = _protocols(code) if kind == NEGOTIATION_REQUEST else "rdp"
    return fields


def _negotiation(message: bytes) -> tuple[int, int]:
    """Read type and value of the negotiation structure (§2.2.1.1.1, §2.2.1.2.1), which the X.224 unit ends with."""
    end = TPKT_HEADER + 1 + message[4]
    found = message[end - 8 : end]
    if message[4] < 14 or len(found) < 8 or found[2:4] != b"\x08\0":
        return 0, 0
    return found[0], int.from_bytes(found[4:8], "little")


def _protocols(bits: int) -> str:
    return ",".join(name for bit, name in PROTOCOLS.items() if bits & bit) or "rdp"
