# cython: language_level=3, annotation_typing=False
"""SIP over UDP and TCP (RFC 3261 §7, §18.3): methods and results.

Of URIs, only those of a registration that was accepted are read: whose it is, and where that account is reached now. Of a
body, only the address at which an offer or answer wants its media (RFC 8866 §5.7), as far as it came with the head.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from agent.protocol import Octets, Parser

METHODS = (
    "INVITE", "ACK", "BYE", "CANCEL", "REGISTER", "OPTIONS", "PRACK", "SUBSCRIBE", "NOTIFY", "PUBLISH", "INFO", "REFER",
    "MESSAGE", "UPDATE",
)  # fmt: skip
LONGEST_HEAD = 4096
MOST_ACCOUNTS = 32
"""Accounts that one conversation tells of; a trunk that carries more tells of the others' registrations without a name."""
MOST_MEDIA = 32
"""Addresses of media that one conversation tells of; a trunk that carries more tells of the others' calls without them."""
LONGEST_BODY = 2048
_NUMBER, _SEQUENCE, _PRODUCT = range(3)
OFFERING = frozenset({"INVITE", "ACK", "PRACK", "UPDATE"})
"""Methods whose requests and answers agree on media (RFC 6337 §2.1)."""
CHALLENGES = frozenset({b"401", b"407"})
"""Answers that only ask for credentials (RFC 3261 §22): neither success nor failure."""

_STARTS = (*(method.encode() + b" " for method in METHODS), b"SIP/2.0 ")
_START = re.compile(
    rb"(?:(" + "|".join(METHODS).encode() + rb") (?:sips?|tel|urn|im|pres):[^\r\n]|SIP/2\.0 ([1-6]\d\d)[ \r])"
)
_TO = re.compile(rb"(?:to|t)[ \t]*:(.*)", re.IGNORECASE)
_CONTACT = re.compile(rb"(?:contact|m)[ \t]*:(.*)", re.IGNORECASE)
_QUOTED = re.compile(rb'"(?:[^"\\]|\\.?)*"?')
_URI = re.compile(
    rb"sips?:(?:([^@:<>\s]{1,64})(?::[^@<>\s]*)?@)?(?:\[([0-9a-f:.]{2,45})\]|([a-z0-9.-]{1,64}))", re.IGNORECASE
)
"""User, and host as an IPv6 reference or otherwise (RFC 3261 §19.1.1)."""
_MEDIA = re.compile(rb"(?:\A|\n)c=IN IP[46] ([0-9A-Fa-f:.]{2,45})[ /\r\n]")
NO_MEDIA = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared with, not bound to
"""Where an offer wants no media: on hold (RFC 3264 §8.4)."""
_LENGTH_NAMES = (b"content-length", b"l")
_SEQUENCE_NAMES = (b"cseq",)
_CLIENT_NAMES = (b"user-agent",)
_SERVER_NAMES = (b"server", b"user-agent")
_BLANKS = bytes(byte in b" \t" for byte in range(256))
_DIGITS = bytes(byte in b"0123456789" for byte in range(256))
_LETTERS = bytes(0x61 <= byte | 0x20 <= 0x7A and byte < 0x80 for byte in range(256))
_VISIBLE = bytes(0x21 <= byte <= 0x7E for byte in range(256))


class Sip(Parser):
    """Tells each request by its method, and each response by its status and the method it answers."""

    __slots__ = ("_accounts", "_heads", "_known", "_media", "_skips")

    name = "sip"
    transports = frozenset({"udp", "tcp"})
    first_bytes = bytes({start[0] for start in _STARTS})

    def __init__(self) -> None:
        self._begin()
        self._heads: list[bytes] = [b"", b""]
        self._skips = [0, 0]
        self._known = False
        self._accounts: set[str] = set()
        self._media: set[str] = set()

    @staticmethod
    def looks_like(payload: bytes, source_port: int, destination_port: int) -> bool:
        """Whether a request line or a status line begins here (RFC 3261 §7.1, §7.2)."""
        del source_port, destination_port
        return len(payload) > 12 and _START.match(payload) is not None

    def data(self, direction: int, payload: bytes, length: int, when: int) -> int:
        """Take a datagram or the next bytes of a stream.

        A body is passed over here rather than skipped by the meter: over UDP its announced length may be a lie, so
        that a segment which begins with a start line is always taken for a message.
        """
        if (self._heads[direction] or self._skips[direction]) and _START.match(payload):
            self.gap(direction)
        begin = self._skips[direction]
        if begin >= len(payload):
            self._skips[direction] = max(begin - length, 0)
            return 0
        cut = length > len(payload)
        held = self._heads[direction]
        data = held + payload[begin:] if held or begin else payload
        end = self._messages(data, cut, when)
        self._skips[direction] = max(end - len(data) - (length - len(payload)), 0)
        self._heads[direction] = b"" if cut else data[end:]
        return 0

    def gap(self, direction: int) -> None:
        """Look for the next start line at the start of a segment."""
        self._heads[direction] = b""
        self._skips[direction] = 0

    def _messages(self, data: bytes, cut: bool, when: int) -> int:
        """Tell the messages in `data`; returns where the first incomplete one begins, or the last one's body ends."""
        position = 0
        while position < len(data):
            if data[position] in b"\r\n\0":  # keep-alives stand between messages (RFC 5626 §3.5.1)
                position += 1
                continue
            line = _START.match(data, position)
            if line is None:
                return self._stray(data, position)
            self._known = True
            end = data.find(b"\r\n\r\n", position, position + LONGEST_HEAD)
            if end < 0 and not cut and len(data) < position + LONGEST_HEAD:
                return position
            head = Octets.part(data, position, end + 2 if end >= 0 else position + LONGEST_HEAD)
            body = Octets.part(data, end + 4, end + 4 + LONGEST_BODY) if end >= 0 else b""
            size = self._tell(line, head, body, when)
            if end < 0 or size < 0:  # a datagram's body goes to its end (RFC 3261 §18.3)
                return len(data)
            position = end + 4 + size
        return position

    def _stray(self, data: bytes, position: int) -> int:
        """Pass over what is no message, unless it may be the beginning of a start line."""
        rest = data[position : position + 64]
        if len(data) < position + 64 and b"\n" not in rest:
            for start in _STARTS:
                if start.startswith(rest) or rest.startswith(start):
                    return position
        if not self._known:
            raise ValueError("no SIP start line")
        return len(data)

    def _tell(self, line: re.Match[bytes], head: bytes, body: bytes, when: int) -> int:
        """Note the message that has this start line and head; returns its body's length, −1 where it does not tell.

        body: what may be its body, and more behind it.
        """
        fields: dict[str, object] = {"protocol": "sip"}
        status = line[2]
        lines = head.split(b"\n")
        lines[0] = b""  # no field begins in the start line
        size = _first(_NUMBER, _LENGTH_NAMES, lines)
        if status is None:
            fields["action"] = line[1].decode("ascii")
            software = _first(_PRODUCT, _CLIENT_NAMES, lines)
            if software is not None:
                fields["client_software"] = software.decode("ascii")
        else:
            sequence = _first(_SEQUENCE, _SEQUENCE_NAMES, lines)
            method = sequence.decode("ascii") if sequence is not None else ""
            if method in METHODS:
                fields["action"] = method
            fields["status"] = status.decode("ascii")
            if status[0] != 0x31 and status[0] != 0x33 and status not in CHALLENGES:
                fields["outcome"] = "success" if status[0] == 0x32 else "failure"
            if method == "REGISTER" and status[0] == 0x32:
                fields.update(self._registration(lines))
            software = _first(_PRODUCT, _SERVER_NAMES, lines)
            if software is not None:
                fields["server_software"] = software.decode("ascii")
        if body and fields.get("action") in OFFERING:
            media = self._wanted(body if size is None else Octets.part(body, 0, int(size)))
            if media:
                fields["media"] = media
        self.note("network.session", when, fields)
        return -1 if size is None else int(size)

    def _wanted(self, body: bytes) -> str:
        """Where an offer or answer wants its media; empty where it does not say."""
        found = _MEDIA.search(body)
        address = found[1].decode("ascii").lower() if found is not None else ""
        if not address or address in NO_MEDIA or (address not in self._media and len(self._media) >= MOST_MEDIA):
            return ""
        self._media.add(address)
        return address

    def _registration(self, lines: list[bytes]) -> dict[str, object]:
        """Whose registration a registrar accepted, and where it now reaches the account."""
        user = _account(lines)
        if not user or (user not in self._accounts and len(self._accounts) >= MOST_ACCOUNTS):
            return {}
        self._accounts.add(user)
        contact, contacts = _contacts(lines)
        return {"user": user, "contact": contact, "contacts": contacts} if contacts else {"user": user}


def _account(lines: list[bytes]) -> str:
    """The user of the address of record that a REGISTER and its answer have in To (RFC 3261 §10.2)."""
    for line in lines:
        found = _TO.match(line)
        if found is not None:
            uri = _uri(_QUOTED.sub(b"", found[1]))
            user = unquote_to_bytes(uri[1]) if uri is not None and uri[1] else b""
            return user.decode("utf-8", "replace")
    return ""


def _contacts(lines: list[bytes]) -> tuple[str, int]:
    """The host of the first contact, and how many there are (RFC 3261 §10.3, §20.10)."""
    host, count = "", 0
    for line in lines:
        found = _CONTACT.match(line)
        if found is None:
            continue
        value = _QUOTED.sub(b"", found[1])
        uri = _uri(value)
        if uri is None:
            continue
        host = host or (uri[2] or uri[3]).decode("ascii").lower()
        count += value.count(b"<") or value.count(b",") + 1
    return host, count


def _uri(value: bytes) -> re.Match[bytes] | None:
    """The first URI of a header field without its quoted names, in angle brackets or bare."""
    return _URI.match((value.partition(b"<")[2] or value).lstrip(b" \t"))


def _first(kind: int, names: tuple[bytes, ...], lines: list[bytes]) -> bytes | None:
    """The value of the first header field of one of these names, in small letters, that has one of this kind."""
    for line in lines:
        for name in names:
            if line and line[0] | 0x20 == name[0] and Octets.part(line, 0, len(name)).lower() == name:
                value = _value(kind, line, len(name))
                if value:
                    return value
    return None


def _value(kind: int, line: bytes, at: int) -> bytes:
    """What stands behind a field's name (RFC 3261 §7.3.1): a number, the method of a CSeq, or a product."""
    at = _run(line, at, _BLANKS)
    if at == len(line) or line[at] != 0x3A:
        return b""
    at = _run(line, at + 1, _BLANKS)
    if kind == _PRODUCT:
        return Octets.part(line, at, min(_run(line, at, _VISIBLE), at + 64))
    end = _run(line, at, _DIGITS)
    if not 0 < end - at < (10 if kind == _NUMBER else 11):
        return b""
    if kind == _SEQUENCE:
        at = _run(line, end, _BLANKS)
        if at == end:
            return b""
        end = _run(line, at, _LETTERS)
        if not 3 <= end - at <= 9:
            return b""
    stop = _run(line, end, _BLANKS)
    return Octets.part(line, at, end) if stop < len(line) and line[stop] == 0x0D else b""


def _run(line: bytes, at: int, kind: bytes) -> int:
    """Where the bytes of this kind that stand at `at` end."""
    while at < len(line) and kind[line[at]]:
        at += 1
    return at
