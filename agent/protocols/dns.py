# cython: language_level=3, annotation_typing=False
"""DNS over UDP and TCP, multicast DNS and LLMNR (RFC 1035 §4, RFC 6762, RFC 4795): questions and answer codes."""

from __future__ import annotations

from itertools import pairwise
from math import log2

from agent.protocol import Framer, Octets, Parser

HEADER = 12
LONGEST_NAME = 255
PORTS = frozenset({53, 5353, 5355})
COMMON_TYPES = frozenset({1, 2, 5, 6, 12, 15, 16, 28, 33, 35, 43, 48, 64, 65, 255})
"""Question types that tell DNS by content alone, off its own ports."""

TYPES = {
    1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 10: "NULL", 12: "PTR", 13: "HINFO", 15: "MX", 16: "TXT", 17: "RP",
    18: "AFSDB", 24: "SIG", 25: "KEY", 28: "AAAA", 29: "LOC", 33: "SRV", 35: "NAPTR", 36: "KX", 37: "CERT", 39: "DNAME",
    41: "OPT", 42: "APL", 43: "DS", 44: "SSHFP", 45: "IPSECKEY", 46: "RRSIG", 47: "NSEC", 48: "DNSKEY", 49: "DHCID",
    50: "NSEC3", 51: "NSEC3PARAM", 52: "TLSA", 53: "SMIMEA", 55: "HIP", 59: "CDS", 60: "CDNSKEY", 61: "OPENPGPKEY",
    62: "CSYNC", 63: "ZONEMD", 64: "SVCB", 65: "HTTPS", 99: "SPF", 108: "EUI48", 109: "EUI64", 249: "TKEY", 250: "TSIG",
    251: "IXFR", 252: "AXFR", 255: "ANY", 256: "URI", 257: "CAA", 32769: "DLV",
}  # fmt: skip
RCODES = (
    "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH",
    "NOTZONE", "DSOTYPENI", "RCODE12", "RCODE13", "RCODE14", "RCODE15",
)  # fmt: skip

_HOST_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_.")
_WEIGHTS = (0.0, *(count * log2(count) for count in range(1, LONGEST_NAME + 1)))
_STEPS = tuple(after - before for before, after in pairwise(_WEIGHTS))
"""What one more of a character adds to the sum of count · log2(count) over a name's characters."""
_QUESTIONS_KEPT = 1024
_questions: dict[bytes, dict[str, object]] = {}


class Dns(Parser):
    """Tells one fact a question, and one an answer."""

    __slots__ = ("_guesses", "_known", "_streams")

    name = "dns"
    transports = frozenset({"udp", "tcp"})

    def __init__(self) -> None:
        self._begin()
        self._guesses: dict[int, Framer] = {}
        self._streams: dict[int, Framer] = {}
        self._known = False

    @staticmethod
    def looks_like(payload: bytes, source_port: int, destination_port: int) -> bool:
        """Whether a header and a question stand at the start, or after the two bytes of a length (RFC 1035 §4.2.2)."""
        if len(payload) < HEADER:
            return False
        if source_port in PORTS or destination_port in PORTS:
            return _is_message(payload, 0) or _is_stream(payload)
        return _is_common(payload, 0) or (_is_stream(payload) and _is_common(payload, 2))

    def data(self, direction: int, payload: bytes, length: int, when: int) -> int:
        """Take a datagram, or the next bytes of a stream; a direction's first whole message shows which."""
        framer = self._streams.get(direction)
        if framer is None:
            streamed = _is_stream(payload)
            framer = self._guesses.pop(direction, None)
            if not streamed and (_is_message if framer is None else _is_plain)(payload, 0):
                self._tell(payload, 0, length, when)
                return 0
            if framer is None:
                if not streamed and len(payload) >= 2 + HEADER:
                    return self._pass_over()
                framer = _Messages(2, 2 + HEADER + LONGEST_NAME + 4)
            self._known = self._known or streamed
            (self._streams if streamed or len(payload) == 2 else self._guesses)[direction] = framer
        for message, size in framer.feed(payload, length):
            if not _is_message(message, 2):
                self.gap(direction)
                return self._pass_over()
            self._streams[direction] = framer
            self._tell(message, 2, size - 2, when)
        return framer.skip

    def gap(self, direction: int) -> None:
        """Look for the next message at the start of a segment."""
        self._guesses.pop(direction, None)
        self._streams.pop(direction, None)

    def _pass_over(self) -> int:
        """One bad message must not hide the next, once this is known to be DNS."""
        if not self._known:
            raise ValueError("no DNS header")
        return 0

    def _tell(self, message: bytes, at: int, size: int, when: int) -> None:
        """Note the message whose header is at `at` (RFC 1035 §4.1.1)."""
        self._known = True
        fields = _question(message, at + HEADER) if message[at + 4] or message[at + 5] else {}
        if not message[at + 2] & 0x80:
            self.note("network.dns", when, fields)
            return
        fields = fields.copy()
        fields["rcode"] = RCODES[message[at + 3] & 15]
        answers = message[at + 6] << 8 | message[at + 7]
        if answers:
            fields["answers"] = answers
        self.note("network.dns", when, fields, {"response_bytes": size})


class _Messages(Framer):
    """One direction's messages in a stream (RFC 1035 §4.2.2)."""

    __slots__ = ()

    def _measure(self, header: bytes) -> int:
        size = header[0] << 8 | header[1]
        return 2 + size if size >= HEADER else self._none("shorter than a DNS header")


def _is_stream(payload: bytes) -> bool:
    """Whether a length stands before the header: a datagram's own header, read two bytes on, is a query with a code."""
    if len(payload) < 2 + HEADER or payload[0] << 8 | payload[1] < HEADER:
        return False
    return (payload[4] >= 0x80 or not payload[5] & 15) and _is_message(payload, 2)


def _is_message(payload: bytes, at: int) -> bool:
    """Whether at `at` is a header with a known opcode, and a question if it is to be one (RFC 1035 §4.1.1)."""
    if len(payload) < at + HEADER or payload[at + 2] >> 3 & 15 > 6:
        return False
    questions = payload[at + 4] << 8 | payload[at + 5]
    if payload[at + 6] >= 16:
        return False
    if not questions:  # an mDNS answer, or a refusal that repeats nothing
        return bool(payload[at + 2] & 0x80 and (payload[at + 6] or payload[at + 7] or payload[at + 3] & 15))
    return questions <= 255 and _name_end(payload, at + HEADER) != 0


def _is_plain(payload: bytes, at: int) -> bool:
    """Whether the header at `at` has one question, whole and of a class in use (RFC 1035 §3.2.4, RFC 6762 §5.4)."""
    if len(payload) < at + 6 or payload[at + 4] or payload[at + 5] != 1 or not _is_message(payload, at):
        return False
    end = _name_end(payload, at + HEADER)
    return end + 4 <= len(payload) and not payload[end + 2] & 0x7F and payload[end + 3] in (1, 3, 255)


def _is_common(payload: bytes, at: int) -> bool:
    """Whether what is at `at` is plain and everyday: few records, a host-like name, a common type."""
    if not _is_plain(payload, at) or payload[at + 6] or payload[at + 8] or payload[at + 10]:
        return False
    flags, low = payload[at + 2], payload[at + 3]
    if flags & 0x78 or low & 0x40 or (not flags & 0x80 and (low & 15 or flags & 4)):
        return False
    end = _name_end(payload, at + HEADER)
    if end < at + HEADER + 3 or payload[end - 1] or payload[end] or payload[end + 1] not in COMMON_TYPES:
        return False
    return _HOST_CHARACTERS.issuperset(str(_question(payload, at + HEADER)["question"]))


def _name_end(payload: bytes, at: int) -> int:
    """Where the name at `at` ends, at the latest where the capture does; 0 where it is no name (RFC 1035 §3.1).

    A compression pointer (§4.1.4) ends it: nothing stands before the first question that one could point to.
    """
    position = at
    captured = len(payload)
    while position < captured:
        size = payload[position]
        if size >= 0xC0:
            return min(position + 2, captured)
        position += 1 + size
        if size > 63 or position - at > LONGEST_NAME:
            return 0
        if not size:
            return position
    return captured


def _question(message: bytes, at: int) -> dict[str, object]:
    """Read the name at `at` with its features, and the question's type where it was captured (RFC 1035 §4.1.2).

    The same question gives the same dictionary, which nobody may change.
    """
    if at >= len(message):
        return {}
    end = _name_end(message, at)
    wire = Octets.part(message, at, end + 2)
    fields = _questions.get(wire)
    if fields is None:
        fields = _measure(message[at:end])
        if end + 2 <= len(message):
            kind = message[end] << 8 | message[end + 1]
            fields["question_type"] = TYPES.get(kind) or f"TYPE{kind}"
        if len(_questions) >= _QUESTIONS_KEPT:
            _questions.clear()
        _questions[wire] = fields
    return fields


def _measure(wire: bytes) -> dict[str, object]:
    """Tell what a name on the wire is like; of one that the capture cut, as much as was captured."""
    labels: list[bytes] = []
    longest = 0
    position = 0
    while position < len(wire):
        size = wire[position]
        if not size or size > 63:
            break
        labels.append(wire[position + 1 : position + 1 + size].replace(b".", b"\\."))
        longest = max(longest, size)
        position += 1 + size
    name = b".".join(labels).lower()
    if not name:
        return {"question": "."}
    fields: dict[str, object] = {
        "question": name.decode("latin-1"),
        "name_length": len(name),
        "labels": len(labels),
        "longest_label": longest,
    }
    digits = len(name) - len(name.translate(None, b"0123456789"))
    if digits:
        fields["digits"] = digits
    entropy = _entropy(name[:LONGEST_NAME])
    if entropy:
        fields["entropy"] = entropy
    return fields


def _entropy(name: bytes) -> int:
    """Shannon's entropy of the characters, log2(n) − Σ count · log2(count) / n, in thousandths of a bit."""
    counts = bytearray(256)
    uneven = 0.0
    for byte in name:
        uneven += _STEPS[counts[byte]]
        counts[byte] += 1
    return round(1000 * (log2(len(name)) - uneven / len(name)))
