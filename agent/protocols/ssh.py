"""SSH until both identification strings are known (RFC 4253 §4.2)."""

from __future__ import annotations

from agent.protocol import DONE, Parser

LONGEST_LINE = 255
"""Of an identification string, carriage return and line feed included."""
PATIENCE = 4096
"""Bytes of either direction in which an identification string must come: a server may send other lines first."""


class Ssh(Parser):
    """Tells what software either side runs."""

    __slots__ = ("_heard", "_lines", "_seen")

    name = "ssh"
    transports = frozenset({"tcp"})
    first_bytes = b"S"

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[bytes] = [b"", b""]
        self._heard = [False, False]
        self._seen = 0

    @staticmethod
    def looks_like(payload: bytes, source_port: int, destination_port: int) -> bool:
        """Whether an identification string begins here."""
        del source_port, destination_port
        return payload[:4] == b"SSH-" and payload[4:8] in (b"2.0-", b"1.99", b"1.5-", b"1.3-")

    def data(self, direction: int, payload: bytes, length: int, when: int) -> int:
        """Take the next bytes of one direction; done once either side's string is known, or does not come."""
        if not self._heard[direction]:
            self._read(direction, payload, length, when)
        self._seen += length
        if all(self._heard) or self._seen > PATIENCE:
            self._lines = [b"", b""]
            return DONE
        return 0

    def gap(self, direction: int) -> None:
        """Give this direction's string up, if it was not yet read."""
        self._lines[direction] = b""
        self._heard[direction] = True

    def _read(self, direction: int, payload: bytes, length: int, when: int) -> None:
        *lines, rest = (self._lines[direction] + payload[: PATIENCE - self._seen]).split(b"\n")
        for line in lines:
            if line.startswith(b"SSH-"):
                self._identify(direction, line.removesuffix(b"\r"), when)
                return
        if rest.startswith(b"SSH-") and (length > len(payload) or len(rest) > LONGEST_LINE):
            raise ValueError("no end of the identification string")
        self._lines[direction] = rest[: LONGEST_LINE + 1]

    def _identify(self, direction: int, line: bytes, when: int) -> None:
        """Note SSH-protoversion-softwareversion; the comments after it are left out."""
        word = line[:LONGEST_LINE].split(b" ", 1)[0].removeprefix(b"SSH-")
        version, _, software = word.partition(b"-")
        fields: dict[str, object] = {"protocol": "ssh", "action": "identification"}
        if version:
            fields["version"] = version.decode("latin-1")
        if software:
            fields["server_software" if direction else "client_software"] = software.decode("latin-1")
        self.note("network.session", when, fields)
        self._heard[direction] = True
