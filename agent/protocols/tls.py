# cython: language_level=3, annotation_typing=False
"""TLS while it is in clear: both hellos, and the alerts before encryption (RFC 8446 §4.1, §5.1, §6; RFC 5246 §7)."""

from __future__ import annotations

from hashlib import sha256
from struct import pack, unpack

from agent.protocol import DONE, Framer, Octets, Parser

CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION_DATA = 20, 21, 22, 23
CLIENT_HELLO, SERVER_HELLO = 1, 2
CLEAR_HANDSHAKES = frozenset({CLIENT_HELLO, SERVER_HELLO, 11, 12, 13, 14, 16})
SERVER_NAME, SIGNATURE_ALGORITHMS, ALPN, SUPPORTED_VERSIONS = 0, 13, 16, 43
RECORD_HEADER = 5
LARGEST_RECORD = 16384 + 2048
KEEP = (8192, 2048)
"""Bytes of a record that are read, from the originator and from the responder."""
PATIENCE = 65536
"""Bytes shown before a conversation whose clear part does not end is given up."""
RETRY_RANDOM = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
"""The random of a ServerHello that is a HelloRetryRequest (RFC 8446 §4.1.3)."""

VERSIONS = {0x0002: "SSL 2.0", 0x0300: "SSL 3.0", 0x0301: "1.0", 0x0302: "1.1", 0x0303: "1.2", 0x0304: "1.3"}
JA4_VERSIONS = {0x0002: "s2", 0x0300: "s3", 0x0301: "10", 0x0302: "11", 0x0303: "12", 0x0304: "13"}
ALERTS = {
    0: "close_notify", 10: "unexpected_message", 20: "bad_record_mac", 21: "decryption_failed", 22: "record_overflow",
    30: "decompression_failure", 40: "handshake_failure", 41: "no_certificate", 42: "bad_certificate",
    43: "unsupported_certificate", 44: "certificate_revoked", 45: "certificate_expired", 46: "certificate_unknown",
    47: "illegal_parameter", 48: "unknown_ca", 49: "access_denied", 50: "decode_error", 51: "decrypt_error",
    60: "export_restriction", 70: "protocol_version", 71: "insufficient_security", 80: "internal_error",
    86: "inappropriate_fallback", 90: "user_canceled", 100: "no_renegotiation", 109: "missing_extension",
    110: "unsupported_extension", 111: "certificate_unobtainable", 112: "unrecognized_name",
    113: "bad_certificate_status_response", 114: "bad_certificate_hash_value", 115: "unknown_psk_identity",
    116: "certificate_required", 120: "no_application_protocol",
}  # fmt: skip

_FINGERPRINTS_KEPT = 1024
_LONGEST_KEY = 512
_fingerprints: dict[tuple[object, ...], str] = {}
_SERVER_FIELDS_KEPT = 64
_server_fields: dict[tuple[str, bytes], dict[str, object]] = {}


class Tls(Parser):
    """Tells the client's hello, the server's answer and an alert in clear, then is done."""

    __slots__ = ("_seen", "_sides")

    name = "tls"
    transports = frozenset({"tcp"})
    first_bytes = bytes((CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION_DATA))

    def __init__(self) -> None:
        self._begin()
        self._sides: list[_Records | None] = [None, None]
        self._seen = 0

    @staticmethod
    def looks_like(payload: bytes, source_port: int, destination_port: int) -> bool:
        """Whether a record begins here, with a body that fits its type (RFC 8446 §5.1)."""
        del source_port, destination_port
        return _is_record(payload)

    def data(self, direction: int, payload: bytes, length: int, when: int) -> int:
        """Take the next bytes of one direction."""
        side = self._sides[direction]
        if side is None:
            side = _Records.__new__(_Records)
            side.open(RECORD_HEADER + KEEP[direction])
            self._sides[direction] = side
        self._seen += len(payload)
        for record, size in side.feed(payload, length):
            if self._is_over(side, record, size, when):
                return self._finish()
        return side.skip if self._seen < PATIENCE else self._finish()

    def gap(self, direction: int) -> None:
        """Look for the next record at the start of a segment."""
        side = self._sides[direction]
        if side is not None:
            side.reset()
            side.handshake = b""

    def _finish(self) -> int:
        """Let go of what was half read: the flow may outlive its handshake by days."""
        self._sides = [None, None]
        return DONE

    def _is_over(self, side: _Records, record: bytes, size: int, when: int) -> bool:
        """Whether nothing in clear is left to wait for, after this record."""
        kind = record[0]
        if kind == HANDSHAKE:
            return side.heard < 0 and self._handshake(side, record, size, when)
        if kind == ALERT:
            return size != RECORD_HEADER + 2 or self._alert(record, when)
        return self._has_heard(SERVER_HELLO) or not self._has_heard(CLIENT_HELLO)

    def _has_heard(self, kind: int) -> bool:
        """Whether either side's first handshake message was of this type."""
        ours, theirs = self._sides
        return (ours is not None and ours.heard == kind) or (theirs is not None and theirs.heard == kind)

    def _handshake(self, side: _Records, record: bytes, size: int, when: int) -> bool:
        """Gather a hello, which may span records (RFC 8446 §5.1); whether what follows it is encrypted."""
        message = Octets.part(record, RECORD_HEADER, len(record))
        if side.handshake:
            message = side.handshake + message
            side.handshake = b""
        cut = len(record) < size or len(message) >= KEEP[0]
        whole = 4 + (message[1] << 16 | message[2] << 8 | message[3]) if len(message) >= 4 else KEEP[0]
        if len(message) < whole and not cut:
            side.handshake = message
            return False
        side.heard = kind = message[0] if message else 0
        if kind == CLIENT_HELLO:
            self.note("network.session", when, _client_hello(Octets.part(message, 4, whole), len(message) >= whole))
        elif kind == SERVER_HELLO:
            return self._server_hello(side, Octets.part(message, 4, whole), when)
        return False

    def _server_hello(self, side: _Records, hello: bytes, when: int) -> bool:
        if Octets.part(hello, 2, 34) == RETRY_RANDOM:
            side.heard = -1
            return False
        version, alpn = _server_choice(hello)
        fields = _server_fields.get((version, alpn))
        if fields is None:
            fields = {"protocol": "tls", "action": "server_hello", "tls_version": version}
            if alpn:
                fields["alpn"] = alpn.decode("latin-1")
            if len(_server_fields) < _SERVER_FIELDS_KEPT:
                _server_fields[version, alpn] = fields
        self.note("network.session", when, fields)
        return version == "1.3"

    def _alert(self, record: bytes, when: int) -> bool:
        """Note an alert in clear; a fatal one ends the conversation (RFC 8446 §6)."""
        if len(record) < RECORD_HEADER + 2:
            return False
        level, description = record[RECORD_HEADER], record[RECORD_HEADER + 1]
        fields: dict[str, object] = {"protocol": "tls", "action": "alert"}
        fields["status"] = ALERTS.get(description) or str(description)
        if level == 2:
            fields["outcome"] = "failure"
        self.note("network.session", when, fields)
        return level == 2


def _is_record(payload: bytes) -> bool:
    if len(payload) < 6 or not CHANGE_CIPHER_SPEC <= payload[0] <= APPLICATION_DATA:
        return False
    if payload[1] != 3 or payload[2] > 4:
        return False
    size = payload[3] << 8 | payload[4]
    if payload[0] == HANDSHAKE:
        return payload[5] in CLEAR_HANDSHAKES and (len(payload) == 6 or not payload[6]) and 4 <= size <= LARGEST_RECORD
    if payload[0] == APPLICATION_DATA:
        after = Octets.part(payload, RECORD_HEADER + size, RECORD_HEADER + size + 2)
        return 17 <= size <= LARGEST_RECORD and (not after or (20 <= after[0] <= 23 and after[1:] in (b"", b"\3")))
    if payload[0] == ALERT:
        return payload[5] in (1, 2) if size == 2 else 18 <= size <= 64
    return size == 1 and payload[5] == 1


class _Records(Framer):
    """One direction's records (RFC 8446 §5.1), and its handshake so far."""

    __slots__ = ("handshake", "heard")

    def open(self, keep: int) -> None:
        """Expect a stream that may have been joined in its middle."""
        self._open(RECORD_HEADER, keep)
        self._lost = True
        self.handshake = b""
        """A message that goes on in the next record."""
        self.heard = -1
        """The type of the first whole message, −1 while there is none."""

    def _measure(self, header: bytes) -> int:
        size = header[3] << 8 | header[4]
        if not CHANGE_CIPHER_SPEC <= header[0] <= 24 or header[1] != 3 or header[2] > 4 or not 0 < size <= LARGEST_RECORD:
            return self._none("no TLS record header")
        return RECORD_HEADER + size


class _Extensions:
    """Walks the extensions whose length stands at `start` (RFC 8446 §4.2), but for GREASE (RFC 8701 §2)."""

    __slots__ = ("_hello", "_position", "_stop", "end", "kind", "start", "whole")

    def open(self, hello: bytes, start: int) -> None:
        """Go to the first one's front."""
        self._hello = hello
        self._position = start + 2
        self._stop = start + 2
        self.whole = start + 2 <= len(hello) or start == len(hello)
        """Whether all that were announced are there, once `find` has found the last."""
        if start + 2 <= len(hello):
            self._stop += hello[start] << 8 | hello[start + 1]
        self.kind = self.start = self.end = 0
        """Type, begin and end of the one that was found last."""

    def find(self) -> bool:
        """Go to the next one, if there is one."""
        hello = self._hello
        position = self._position
        while position + 4 <= len(hello) and position < self._stop:
            kind = hello[position] << 8 | hello[position + 1]
            size = hello[position + 2] << 8 | hello[position + 3]
            position += 4
            if position + size > len(hello):
                self._stop = 0
                self.whole = False
                return False
            if kind & 0x0F0F != 0x0A0A or kind >> 8 != kind & 255:
                self.kind = kind
                self.start = position
                self.end = self._position = position + size
                return True
            position += size
        self._position = position
        self.whole = self.whole and position == self._stop
        return False


def _client_hello(hello: bytes, whole: bool) -> dict[str, object]:
    """Read what a ClientHello tells (RFC 8446 §4.1.2); without JA4 where part of it is missing."""
    fields: dict[str, object] = {"protocol": "tls", "action": "client_hello"}
    ciphers = 37 + hello[34] if len(hello) > 34 else len(hello)
    compression = ciphers + _code(hello, ciphers - 2)
    if compression >= len(hello):
        return fields
    version = hello[0] << 8 | hello[1]
    kinds = []
    alpn = signatures = b""
    extensions = _Extensions.__new__(_Extensions)
    extensions.open(hello, compression + 1 + hello[compression])
    while extensions.find():
        kind = extensions.kind
        start = extensions.start
        end = extensions.end
        kinds.append(kind)
        if kind == SERVER_NAME and end > start + 5:
            size = hello[start + 3] << 8 | hello[start + 4]
            name = Octets.part(hello, start + 5, min(start + 5 + size, end))
            if name:
                fields["server_name"] = name.decode("latin-1").lower()
        elif kind == ALPN and end > start + 3:
            alpn = Octets.part(hello, start + 3, min(start + 3 + hello[start + 2], end))
        elif kind == SIGNATURE_ALGORITHMS:
            signatures = Octets.part(hello, start + 2, end)
        elif kind == SUPPORTED_VERSIONS:
            version = _highest(hello, start + 1, end) or version
    if whole and extensions.whole:
        kinds.sort()
        fields["ja4"] = _fingerprint(version, Octets.part(hello, ciphers, compression), kinds, signatures, alpn)
    if alpn:
        fields["alpn"] = alpn.decode("latin-1")
    return fields


def _server_choice(hello: bytes) -> tuple[str, bytes]:
    """Version and application protocol that a ServerHello chose (RFC 8446 §4.1.3, RFC 7301 §3.1)."""
    version = _code(hello, 0)
    alpn = b""
    suite = 35 + hello[34] if len(hello) > 34 else len(hello)
    if suite < len(hello) and hello[suite] == 0x13:  # these suites are TLS 1.3's alone (RFC 8446 §B.4)
        version = 0x0304
    extensions = _Extensions.__new__(_Extensions)
    extensions.open(hello, suite + 3)
    while extensions.find():
        kind = extensions.kind
        start = extensions.start
        end = extensions.end
        if kind == SUPPORTED_VERSIONS and end == start + 2:
            version = hello[start] << 8 | hello[start + 1]
        elif kind == ALPN and end > start + 3:
            alpn = Octets.part(hello, start + 3, min(start + 3 + hello[start + 2], end))
    if version >> 8 == 0x7F:  # a draft of TLS 1.3
        version = 0x0304
    return VERSIONS.get(version) or f"{version:04x}", alpn


def _code(hello: bytes, at: int) -> int:
    """Read the two bytes at `at`, 0 where they were not captured."""
    return hello[at] << 8 | hello[at + 1] if 0 <= at <= len(hello) - 2 else 0


def _highest(hello: bytes, start: int, end: int) -> int:
    """Read the highest of the versions offered, 0 where there is none but GREASE."""
    highest = 0
    for position in range(start, end - 1, 2):
        code = hello[position] << 8 | hello[position + 1]
        if code > highest and (code & 0x0F0F != 0x0A0A or code >> 8 != code & 255):
            highest = code
    return highest


def _fingerprint(version: int, ciphers: bytes, extensions: list[int], signatures: bytes, alpn: bytes) -> str:
    """Compute JA4, or know it from a client that said the same before."""
    key = (version, ciphers, tuple(extensions), signatures, alpn)
    known = _fingerprints.get(key)
    if known is None:
        known = _ja4(version, ciphers, extensions, signatures, alpn)
        if len(_fingerprints) >= _FINGERPRINTS_KEPT:
            _fingerprints.clear()
        if len(ciphers) + len(signatures) + len(alpn) + len(extensions) <= _LONGEST_KEY:
            _fingerprints[key] = known
    return known


def _ja4(version: int, ciphers: bytes, extensions: list[int], signatures: bytes, alpn: bytes) -> str:
    """Compute JA4, FoxIO's fingerprint of a TLS client (github.com/FoxIO-LLC/ja4, technical_details/JA4.md).

    extensions: sorted, without GREASE.
    """
    ends = alpn[:1] + alpn[-1:] if alpn else b"00"
    if not (ends.isalnum() and ends.isascii()):
        ends = alpn[:1].hex()[:1].encode() + alpn[-1:].hex()[1:].encode()
    offered = sorted(_codes(ciphers))
    kinds = [kind for kind in extensions if kind not in (SERVER_NAME, ALPN)]
    ordered = _codes(signatures)
    extended = _hexadecimal(kinds) + ("_" + _hexadecimal(ordered) if ordered else "")
    named = "d" if SERVER_NAME in extensions else "i"
    counts = f"{min(len(offered), 99):02}{min(len(extensions), 99):02}"
    start = f"t{JA4_VERSIONS.get(version, '00')}{named}{counts}{ends.decode('ascii')}"
    return f"{start}_{_hash(_hexadecimal(offered))}_{_hash(extended)}"


def _codes(raw: bytes) -> list[int]:
    """Read two-byte codes, less GREASE."""
    count = len(raw) // 2
    codes = unpack(f">{count}H", raw[: 2 * count])
    return [code for code in codes if code & 0x0F0F != 0x0A0A or code >> 8 != code & 255]


def _hexadecimal(codes: list[int]) -> str:
    return pack(f">{len(codes)}H", *codes).hex(",", 2) if codes else ""


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:12] if text else "0" * 12
