"""Kerberos 5 over UDP and TCP (RFC 4120 §5, §7.2): who asks for which service, with which encryption; refusals."""

from __future__ import annotations

from agent.protocol import Framer, Parser

AS_REQ, AS_REP, TGS_REQ, TGS_REP, AP_REQ, AP_REP, ERROR = 10, 11, 12, 13, 14, 15, 30
ACTIONS = {
    AS_REQ: "AS-REQ", AS_REP: "AS-REP", TGS_REQ: "TGS-REQ", TGS_REP: "TGS-REP", AP_REQ: "AP-REQ", AP_REP: "AP-REP",
    ERROR: "KRB-ERROR",
}  # fmt: skip
APPLICATION, CONTEXT, INTEGER, SEQUENCE, GENERAL_STRING = 0x60, 0xA0, 0x02, 0x30, 0x1B
KEEP = 4096
ENOUGH = 4 + 2 * 6 + 10
"""Bytes within which a stream's length, two DER headers, version and type have come."""
MOST_CHILDREN = 16
ENCRYPTIONS = {
    1: "des", 2: "des", 3: "des", 16: "des3", 17: "aes128", 18: "aes256", 19: "aes128", 20: "aes256", 23: "rc4",
    24: "rc4", 25: "camellia128", 26: "camellia256",
}  # fmt: skip
"""Types of RFC 3961 §8, 3962 §7, 4757 §4, 6803 §10 and 8009 §8."""
ASKING = frozenset({"25", "52"})
"""KDC_ERR_PREAUTH_REQUIRED and KRB_ERR_RESPONSE_TOO_BIG (§7.5.9) only ask for more: no failure."""

Span = tuple[int, int]


class Kerberos(Parser):
    """Tells each request to the KDC or a service, and each answer."""

    __slots__ = ("_framers", "_known")

    name = "kerberos"
    transports = frozenset({"udp", "tcp"})
    first_bytes = bytes((0, *range(0x60, 0x80)))  # a length, or an application tag

    def __init__(self) -> None:
        super().__init__()
        self._framers: list[Framer | None] = [None, None]
        self._known = False

    @staticmethod
    def looks_like(payload: bytes, source_port: int, destination_port: int) -> bool:
        """Whether a message stands at the start, or after the four bytes of a length (§7.2.2)."""
        del source_port, destination_port
        if len(payload) < 16:
            return False
        return _kind(payload, 0) in ACTIONS or (payload[0] == 0 and _kind(payload, 4) in ACTIONS)

    def data(self, direction: int, payload: bytes, length: int, when: int) -> int:
        """Take a datagram, or the next bytes of a stream; a direction's first bytes show which."""
        framer = self._framers[direction]
        if _kind(payload, 0) in ACTIONS and (framer is None or _element(payload, (0, length))[2] == length):
            self._framers[direction] = None
            self._known = True
            self._tell(payload, 0, when)
            return 0
        if framer is None:
            streamed = payload[0] == 0 and _kind(payload, 4) in ACTIONS
            self._known = self._known or streamed
            if not streamed and (payload[0] or len(payload) >= ENOUGH):
                if not self._known:
                    raise ValueError("no Kerberos message")
                return 0  # one bad datagram must not hide the next
            framer = self._framers[direction] = Framer(5, 4 + KEEP, _size_of)
        for message, _ in framer.feed(payload, length):
            if _kind(message, 4) in ACTIONS:
                self._known = True
                self._tell(message, 4, when)
        return framer.skip

    def gap(self, direction: int) -> None:
        """Look for the next message at the start of a segment."""
        self._framers[direction] = None

    def _tell(self, message: bytes, at: int, when: int) -> None:
        """Note the message at `at`, with as much of it as was kept."""
        kind = message[at] & 0x1F
        fields: dict[str, object] = {"protocol": "kerberos", "action": ACTIONS[kind]}
        parts = _parts(message, _inside(message, _inside(message, (at, len(message)))))
        if kind in (AS_REQ, TGS_REQ):
            _read_request(message, parts, fields)
        elif kind in (AS_REP, TGS_REP):
            _put(fields, "realm", _string(message, parts.get(3)))
            _put(fields, "user", _principal(message, parts.get(4)))
            _read_ticket(message, parts.get(5), fields)
            fields["outcome"] = "success"
        elif kind == AP_REQ:
            _read_ticket(message, parts.get(3), fields)
        elif kind == ERROR:
            _read_error(message, parts, fields)
        self.note("network.session", when, fields)


def _size_of(header: bytes) -> int:
    """Read a TCP message's length (§7.2.2), in front of a message's tag."""
    size = int.from_bytes(header[:4], "big")
    if header[0] & 0x80 or header[4] & 0xE0 != APPLICATION or header[4] & 0x1F not in ACTIONS or size < 12:
        raise ValueError("no Kerberos message")
    return 4 + size


def _kind(message: bytes, at: int) -> int:
    """Read the message type, -1 where tag, version 5 and type do not stand as they must (§5.10)."""
    if len(message) < at + 12 or message[at] & 0xE0 != APPLICATION:
        return -1
    kind = message[at] & 0x1F
    start = _inside(message, _inside(message, (at, len(message))))[0]
    first = 1 if kind in (AS_REQ, TGS_REQ) else 0
    fixed = bytes((CONTEXT + first, 3, INTEGER, 1, 5, CONTEXT + first + 1, 3, INTEGER, 1, kind))
    return kind if message[start : start + 10] == fixed else -1


def _element(message: bytes, span: Span) -> tuple[int, int, int]:
    """Read one DER element (X.690 §8.1): its tag, and where its content begins and ends."""
    start, stop = span
    if start + 2 > min(stop, len(message)):
        return -1, stop, stop
    size = message[start + 1]
    begin = start + 2
    if size >= 0x80:
        begin += size & 0x7F
        if not 1 <= size & 0x7F <= 4 or begin > len(message):
            return -1, stop, stop
        size = int.from_bytes(message[start + 2 : begin], "big")
    return message[start], begin, begin + size


def _inside(message: bytes, span: Span | None) -> Span:
    """Find the content of the element that a span begins with; empty where there is none."""
    if span is None:
        return 0, 0
    _, begin, end = _element(message, span)
    return begin, end


def _parts(message: bytes, span: Span) -> dict[int, Span]:
    """Find a SEQUENCE's members by their context tags, as far as they were kept."""
    parts: dict[int, Span] = {}
    start, stop = span
    for _ in range(MOST_CHILDREN):
        tag, begin, end = _element(message, (start, stop))
        if tag & 0xE0 != CONTEXT or end > stop:
            break
        parts[tag & 0x1F] = begin, end
        start = end
    return parts


def _integer(message: bytes, span: Span | None) -> int | None:
    begin, end = _inside(message, span)
    if not 1 <= end - begin <= 4 or end > len(message):
        return None
    return int.from_bytes(message[begin:end], "big", signed=True)


def _string(message: bytes, span: Span | None) -> str:
    begin, end = _inside(message, span)
    return message[begin:end].decode("utf-8", "replace") if end <= len(message) else ""


def _principal(message: bytes, span: Span | None) -> str:
    """Join a PrincipalName's components (§5.2.2)."""
    names = _parts(message, _inside(message, span)).get(1)
    start, stop = _inside(message, names)
    components: list[str] = []
    while start < stop and len(components) < MOST_CHILDREN:
        _, _, end = _element(message, (start, stop))
        components.append(_string(message, (start, stop)))
        start = end
    return "/".join(components)


def _encryption(code: int | None) -> str:
    return "" if code is None else ENCRYPTIONS.get(code) or str(code)


def _put(fields: dict[str, object], name: str, value: str) -> None:
    if value:
        fields[name] = value


def _read_request(message: bytes, parts: dict[int, Span], fields: dict[str, object]) -> None:
    """Read KDC-REQ-BODY (§5.4.1): the encryption is the first, the preferred one that it lists."""
    body = _parts(message, _inside(message, parts.get(4)))
    _put(fields, "user", _principal(message, body.get(1)))
    _put(fields, "realm", _string(message, body.get(2)))
    _put(fields, "service", _principal(message, body.get(3)))
    _put(fields, "encryption", _encryption(_integer(message, _inside(message, body.get(8)))))


def _read_ticket(message: bytes, span: Span | None, fields: dict[str, object]) -> None:
    """Read a Ticket in clear (§5.3): its service, and the encryption of the part that is for the service."""
    ticket = _parts(message, _inside(message, _inside(message, span)))
    if "realm" not in fields:
        _put(fields, "realm", _string(message, ticket.get(1)))
    _put(fields, "service", _principal(message, ticket.get(2)))
    sealed = _parts(message, _inside(message, ticket.get(3)))
    _put(fields, "encryption", _encryption(_integer(message, sealed.get(0))))


def _read_error(message: bytes, parts: dict[int, Span], fields: dict[str, object]) -> None:
    """Read KRB-ERROR (§5.9.1)."""
    code = _integer(message, parts.get(6))
    _put(fields, "status", "" if code is None else str(code))
    if fields.get("status") not in ASKING:
        fields["outcome"] = "failure"
    _put(fields, "user", _principal(message, parts.get(8)))
    _put(fields, "realm", _string(message, parts.get(9)))
    _put(fields, "service", _principal(message, parts.get(10)))
