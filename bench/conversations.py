"""What hospital hosts say to each other: the bytes of one conversation, protocol by protocol.

Each function takes a seeded `Random` and a length in bytes for whatever is large in the conversation (a study, a file, a
download) and returns messages in order. All content is invented.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from random import Random
from struct import Struct, pack
from tempfile import TemporaryDirectory
from typing import NamedTuple

CLIENT, SERVER = 0, 1


class Message(NamedTuple):
    """What one end sends at once."""

    direction: int
    payload: bytes
    wait: float
    """Seconds since the message before."""


Conversation = Callable[[Random, int], list[Message]]

NAMES = ("pacs", "ris", "lis", "ehr", "mail", "intranet", "update", "telemed", "registry", "triage", "backup", "time")
DOMAINS = ("hospital.example", "district.health.example", "cloud.example", "vendor.example")


def _host(random: Random) -> str:
    return f"{random.choice(NAMES)}{random.randrange(40)}.{random.choice(DOMAINS)}"


def _digits(random: Random, count: int) -> str:
    return "".join(str(random.randrange(10)) for _ in range(count))


# TLS 1.3 (RFC 8446)


def tls(random: Random, length: int) -> list[Message]:
    """A handshake between two ends of Python's ssl, then a request and its answer in opaque records."""
    session = random.randbytes(32)
    messages = [
        Message(direction, _stilled(flight, session, random), 0.002) for direction, flight in _handshake(_host(random))
    ]
    messages.append(Message(CLIENT, _records(random, random.randrange(200, 900)), 0.003))
    messages.append(Message(SERVER, _records(random, 400 + length), 0.02))
    return messages


def _handshake(name: str) -> list[tuple[int, bytes]]:
    """Flights of bytes, as OpenSSL makes them."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    client.set_alpn_protocols(["h2", "http/1.1"])
    wires = (ssl.MemoryBIO(), ssl.MemoryBIO())
    ends = (
        client.wrap_bio(wires[SERVER], wires[CLIENT], server_hostname=name),
        _server().wrap_bio(wires[CLIENT], wires[SERVER], server_side=True),
    )
    flights = []
    for direction in (CLIENT, SERVER, CLIENT, SERVER):
        with suppress(ssl.SSLWantReadError):
            ends[direction].do_handshake()
        flight = wires[direction].read()
        if flight:
            flights.append((direction, flight))
            wires[direction].write(flight)
    return flights


@cache
def _server() -> ssl.SSLContext:
    """A server with a self-signed certificate that is the same in every run."""
    from cryptography import x509  # noqa: PLC0415 - only where a capture is made
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - as above
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 - as above

    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "hospital.example")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2046, 1, 1, tzinfo=UTC))
        .sign(key, None)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = 1
    with TemporaryDirectory() as folder:
        path = Path(folder, "server.pem")
        path.write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )
        context.load_cert_chain(path)
    return context


def _stilled(flight: bytes, session: bytes, random: Random) -> bytes:
    """The flight with OpenSSL's own random bytes replaced by seeded ones, so that every run gives the same file."""
    still = bytearray(flight)
    at = 0
    while at + 5 <= len(still):
        size = int.from_bytes(still[at + 3 : at + 5])
        if still[at] == 22:
            _still_hello(still, at + 5, session, random)
        elif still[at] == 23:
            still[at + 5 : at + 5 + size] = random.randbytes(size)
        at += 5 + size
    return bytes(still)


def _still_hello(still: bytearray, at: int, session: bytes, random: Random) -> None:
    """Replace random, session id and key shares of a ClientHello or ServerHello (§4.1.2, §4.1.3, §4.2.8)."""
    hello = still[at]
    still[at + 6 : at + 38] = random.randbytes(32)
    width = still[at + 38]
    still[at + 39 : at + 39 + width] = session[:width]
    at += 39 + width
    if hello == 1:
        at += 2 + int.from_bytes(still[at : at + 2])
        at += 1 + still[at]
    else:
        at += 3
    end = at + 2 + int.from_bytes(still[at : at + 2])
    at += 2
    while at < end:
        kind, size = int.from_bytes(still[at : at + 2]), int.from_bytes(still[at + 2 : at + 4])
        at += 4
        if kind == 51:
            share = at + (2 if hello == 1 else 0)
            while share < at + size:
                width = int.from_bytes(still[share + 2 : share + 4])
                still[share + 4 : share + 4 + width] = random.randbytes(width)
                share += 4 + width
        at += size


def _records(random: Random, length: int) -> bytes:
    """Application data in records of at most 16 KiB (§5.2)."""
    pieces = []
    while length > 0:
        size = min(length, 16_384)
        pieces.append(b"\x17\x03\x03" + size.to_bytes(2) + random.randbytes(size))
        length -= size
    return b"".join(pieces)


# DNS (RFC 1035)


def dns(random: Random, length: int) -> list[Message]:
    """One question and its answer; one name in twenty does not exist."""
    del length
    number = random.randrange(65_536)
    name = b"".join(bytes([len(label)]) + label.encode() for label in _host(random).split(".")) + b"\0"
    kind = random.choice((1, 1, 1, 28))
    question = name + pack(">HH", kind, 1)
    asked = pack(">HHHHHH", number, 0x0100, 1, 0, 0, 0) + question
    if random.random() < 0.05:
        return [Message(CLIENT, asked, 0), Message(SERVER, pack(">HHHHHH", number, 0x8183, 1, 0, 0, 0) + question, 0.004)]
    data = random.randbytes(4 if kind == 1 else 16)
    answer = pack(">HHHIH", 0xC00C, kind, 1, 300, len(data)) + data
    return [
        Message(CLIENT, asked, 0),
        Message(SERVER, pack(">HHHHHH", number, 0x8180, 1, 1, 0, 0) + question + answer, 0.004),
    ]


# HL7 v2 over MLLP


def hl7(random: Random, length: int) -> list[Message]:
    """Admissions, orders and results over one connection, each acknowledged."""
    messages = []
    while True:
        control = _digits(random, 8)
        kind, trigger = random.choice((("ADT", "A01"), ("ADT", "A08"), ("ORM", "O01"), ("ORU", "R01")))
        text = _hl7_message(random, kind, trigger, control)
        answer = f"MSH|^~\\&|EHR|WARD|LIS|LAB|20260105080001||ACK^{trigger}|{_digits(random, 8)}|P|2.5\rMSA|AA|{control}\r"
        messages.append(Message(CLIENT, b"\x0b" + text.encode() + b"\x1c\r", 0.4))
        messages.append(Message(SERVER, b"\x0b" + answer.encode() + b"\x1c\r", 0.01))
        length -= 1460
        if length <= 0:
            return messages


def _hl7_message(random: Random, kind: str, trigger: str, control: str) -> str:
    segments = [
        f"MSH|^~\\&|LIS|LAB|EHR|WARD|20260105080000||{kind}^{trigger}|{control}|P|2.5",
        f"PID|1||{_digits(random, 9)}^^^HOSP||DOE^JANE||19700101|F",
        f"PV1|1|I|W{_digits(random, 1)}^{_digits(random, 2)}^1",
    ]
    if kind == "ORU":
        segments.append(f"OBR|1|{_digits(random, 6)}|{_digits(random, 6)}|CBC^COMPLETE BLOOD COUNT")
        segments += [
            f"OBX|{index}|NM|{name}||{random.randrange(10, 200)}|g/L|10-200|N|||F"
            for index, name in enumerate(("HGB", "HCT", "WBC", "PLT", "MCV"), 1)
        ]
    return "".join(f"{segment}\r" for segment in segments)


# DICOM: upper layer (PS3.8 §9.3) and DIMSE (PS3.7 annex E)

_CONTEXT = b"1.2.840.10008.3.1.1.1"
_SYNTAX = b"1.2.840.10008.1.2.1"
_CT, _FIND, _ECHO = b"1.2.840.10008.5.1.4.1.1.2", b"1.2.840.10008.5.1.4.1.2.2.1", b"1.2.840.10008.1.1"
_MAX_PDU = 16_384


def dicom(random: Random, length: int) -> list[Message]:
    """An association that echoes, asks, or stores instances until `length` bytes are sent."""
    calling = random.choice(("CT_SCAN", "MR_SUITE", "XRAY_ER", "WORKST", "TRIAGE_AI")) + _digits(random, 1)
    kind = random.choices((_CT, _FIND, _ECHO), (6, 3, 1))[0] if length < 20_000 else _CT
    messages = [
        Message(CLIENT, _associate(1, calling, kind), 0.001),
        Message(SERVER, _associate(2, calling, kind), 0.002),
    ]
    number = 1
    while True:
        messages += _dimse(random, kind, number, min(max(length, 2_000), 526_336))
        length -= 526_336
        number += 1
        if kind != _CT or length <= 0:
            break
    messages.append(Message(CLIENT, pack(">BBIBBBB", 5, 0, 4, 0, 0, 0, 0), 0.05))
    messages.append(Message(SERVER, pack(">BBIBBBB", 6, 0, 4, 0, 0, 0, 0), 0.001))
    return messages


def _item(kind: int, value: bytes) -> bytes:
    return pack(">BxH", kind, len(value)) + value


def _associate(kind: int, calling: str, abstract: bytes) -> bytes:
    """A-ASSOCIATE-RQ (1) or -AC (2) with one presentation context."""
    proposed = _item(0x30, abstract) if kind == 1 else b""
    user = _item(0x51, _MAX_PDU.to_bytes(4)) + _item(0x52, b"1.2.826.0.1.3680043.9.7433") + _item(0x55, b"SCANNER_4")
    body = (
        pack(">HH16s16s32x", 1, 0, b"PACS".ljust(16), calling.encode().ljust(16))
        + _item(0x10, _CONTEXT)
        + _item(0x20 if kind == 1 else 0x21, b"\1\0\0\0" + proposed + _item(0x40, _SYNTAX))
        + _item(0x50, user)
    )
    return pack(">BxI", kind, len(body)) + body


def _dimse(random: Random, kind: bytes, number: int, length: int) -> Iterator[Message]:
    """One request with its data set, and its response."""
    command = {_CT: 0x0001, _FIND: 0x0020, _ECHO: 0x0030}[kind]
    instance = b"1.2.826.0.1.3680043.9." + _digits(random, 20).encode()
    elements = [
        (0x0002, kind),
        (0x0100, pack("<H", command)),
        (0x0110, pack("<H", number)),
        (0x0700, pack("<H", 0)),
        (0x0800, pack("<H", 0x0101 if kind == _ECHO else 0)),
    ]
    if kind == _CT:
        elements.append((0x1000, instance))
    request = _values(_command_set(elements), control=3)
    if kind == _FIND:
        request += _values(_query(random), control=2)
    if kind == _CT:
        pixels = pack("<HH2sxxI", 0x7FE0, 0x0010, b"OW", length & ~1) + random.randbytes(length & ~1)
        request += _values(pixels, control=2)
    yield Message(CLIENT, request, 0.01)
    answer = [(0x0002, kind), (0x0100, pack("<H", command | 0x8000)), (0x0120, pack("<H", number))]
    answer += [(0x0800, pack("<H", 0x0101)), (0x0900, pack("<H", 0))]
    yield Message(SERVER, _values(_command_set(answer), control=3), 0.02)


def _query(random: Random) -> bytes:
    """An identifier in explicit little endian: studies of one patient."""
    elements = [(0x0008, 0x0052, b"CS", b"STUDY "), (0x0010, 0x0020, b"LO", _digits(random, 8).encode())]
    return b"".join(pack("<HH2sH", *start, len(value)) + value for *start, value in elements)


def _command_set(elements: list[tuple[int, bytes]]) -> bytes:
    """Implicit little endian, group 0000, with the group's length first."""
    padded = [(number, value + b"\0" * (len(value) & 1)) for number, value in elements]
    body = b"".join(pack("<HHI", 0, number, len(value)) + value for number, value in padded)
    return pack("<HHII", 0, 0, 4, len(body)) + body


def _values(data: bytes, control: int) -> bytes:
    """P-DATA-TF PDUs, each of one presentation data value; `control` 3: command, 2: data set, last fragment."""
    room = _MAX_PDU - 6
    pieces = [data[at : at + room] for at in range(0, len(data), room)]
    result = []
    for index, piece in enumerate(pieces):
        flags = control if index == len(pieces) - 1 else control & 1
        result.append(pack(">BxIIBB", 4, len(piece) + 6, len(piece) + 2, 1, flags) + piece)
    return b"".join(result)


# FHIR over HTTP/1.1


def fhir(random: Random, length: int) -> list[Message]:
    """Reads, searches and creates over one kept-alive connection; the last answer is the long one."""
    host = _host(random)
    messages = []
    turns = random.randrange(1, 4)
    for turn in range(turns):
        kind = random.choice(("Patient", "Observation", "ImagingStudy", "DiagnosticReport"))
        act = random.choice(("read", "search", "create"))
        target = {"read": f"{kind}/{_digits(random, 6)}", "search": f"{kind}?_count=20", "create": kind}[act]
        body = _resource(random, kind, 600) if act == "create" else b""
        head = (
            f"{'POST' if body else 'GET'} /fhir/{target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: ward-client/2.1\r\n"
            f"Accept: application/fhir+json\r\n"
        )
        if body:
            head += f"Content-Type: application/fhir+json\r\nContent-Length: {len(body)}\r\n"
        messages.append(Message(CLIENT, head.encode() + b"\r\n" + body, 0.2))
        answer = _resource(random, kind, length if turn == turns - 1 else 700)
        status = "201 Created" if body else "404 Not Found" if random.random() < 0.03 else "200 OK"
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/fhir+json\r\nContent-Length: {len(answer)}\r\n\r\n"
        messages.append(Message(SERVER, head.encode() + answer, 0.03))
    return messages


def _resource(random: Random, kind: str, length: int) -> bytes:
    text = json.dumps({
        "resourceType": kind,
        "id": _digits(random, 6),
        "note": [{"text": "x" * max(1, length - 80)}],
    })  # fmt: skip
    return text.encode()


# SMB 2 (MS-SMB2 §2.2)

_SMB = Struct("<4sHHIHHIIQIIQ16s")
_PIECE = 65_536
_FILE = bytes(16)


def smb2(random: Random, length: int) -> list[Message]:
    """Negotiate, log on, connect to a share, then read or write one file and close it."""
    tree = random.randrange(1, 9)
    turns = [(0, *_NEGOTIATE), *_logon(random), _connect(random), _create(random)]
    reads = random.random() < 0.6
    turns += [
        _transfer(random, reads, start, min(max(length - start, 100), _PIECE)) for start in range(0, max(length, 1), _PIECE)
    ]
    turns.append((6, pack("<HHI16s", 24, 0, 0, _FILE), pack("<HHI", 60, 0, 0) + bytes(52), 0))
    messages = []
    for number, (command, asked, answered, status) in enumerate(turns):
        messages.append(Message(CLIENT, _smb(command, number, tree, asked, 0, 0), 0.005))
        messages.append(Message(SERVER, _smb(command, number, tree, answered, 1, status), 0.002))
    return messages


Turn = tuple[int, bytes, bytes, int]
"""Command, request, response, status."""

_NEGOTIATE = (
    pack("<HHHHI16sQ3H", 36, 3, 1, 0, 0x7F, bytes(16), 0, 0x0210, 0x0300, 0x0302),
    pack("<HHHH16sIIIIQQHHI", 65, 1, 0x0302, 0, bytes(16), 0x7F, 1 << 20, 1 << 20, 1 << 20, 0, 0, 128, 0, 0),
    0,
)


def _smb(command: int, number: int, tree: int, body: bytes, flags: int, status: int) -> bytes:
    """One message behind its direct TCP header (§2.1)."""
    tree = tree if command > 3 or (command == 3 and flags) else 0
    header = _SMB.pack(b"\xfeSMB", 64, 1, status, command, 1, flags, 0, number, 0, tree, 0x1000 if command else 0, bytes(16))
    return (len(header) + len(body)).to_bytes(4) + header + body


def _logon(random: Random) -> list[Turn]:
    """Two SESSION_SETUPs with NTLM inside (§2.2.5, MS-NLMP §2.2.1)."""

    def setup(token: bytes) -> bytes:
        return pack("<HBBIIHHQ", 25, 0, 1, 0, 0, 88, len(token), 0) + token

    user = f"nurse{random.randrange(30)}".encode("utf-16-le")
    empty = pack("<HHI", 0, 0, 64)
    last = b"NTLMSSP\0\3\0\0\0" + empty * 3 + pack("<HHI", len(user), len(user), 64) + empty * 2 + bytes(4) + user
    challenge = b"NTLMSSP\0\2\0\0\0" + empty + bytes(4) + random.randbytes(8) + bytes(8) + empty
    return [
        (1, setup(b"NTLMSSP\0\1\0\0\0" + bytes(24)), pack("<HHHH", 9, 0, 72, len(challenge)) + challenge, 0xC0000016),
        (1, setup(last), pack("<HHHH", 9, 0, 72, 0), 0),
    ]


def _connect(random: Random) -> Turn:
    path = f"\\\\files\\{random.choice(('wards', 'scans', 'finance', 'backup'))}".encode("utf-16-le")
    return 3, pack("<HHHH", 9, 0, 72, len(path)) + path, pack("<HBBIII", 16, 1, 0, 0, 0, 0x1F01FF), 0


def _create(random: Random) -> Turn:
    name = f"report{_digits(random, 4)}.docx".encode("utf-16-le")
    asked = pack("<HBBIQQIIIIIHHII", 57, 0, 0, 2, 0, 0, 0x12019F, 0, 7, 3, 0, 120, len(name), 0, 0) + name
    return 5, asked, pack("<HBBI", 89, 0, 0, 1) + bytes(32) + pack("<QQII16sII", 4096, 4096, 0, 0, _FILE, 0, 0), 0


def _transfer(random: Random, reads: bool, start: int, size: int) -> Turn:
    data = random.randbytes(size)
    if reads:
        asked = pack("<HBBIQ16sIIIHHB", 49, 80, 0, size, start, _FILE, 0, 0, 0, 0, 0, 0)
        return 8, asked, pack("<HBBIII", 17, 80, 0, size, 0, 0) + data, 0
    asked = pack("<HHIQ16sIIHHI", 49, 112, size, start, _FILE, 0, 0, 0, 0, 0) + data
    return 9, asked, pack("<HHIIHH", 17, 0, size, 0, 0, 0), 0


# SIP (RFC 3261) and RTP (RFC 3550)


def sip(random: Random, length: int) -> list[Message]:
    """A call: INVITE to BYE."""
    del length
    call = f"{_digits(random, 10)}@pbx.hospital.example"
    number = random.randrange(1, 900)
    media = f"v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio {10_000 + 2 * number} RTP/AVP 0\r\n"

    def message(start: str, method: str, body: str = "") -> bytes:
        kind = "Content-Type: application/sdp\r\n" if body else ""
        return (
            f"{start}\r\nVia: SIP/2.0/UDP phone.hospital.example;branch=z9hG4bK{number}\r\nFrom: <sip:{2000 + number}@pbx>"
            f";tag=1\r\nTo: <sip:2001@pbx>\r\nCall-ID: {call}\r\nCSeq: {number} {method}\r\nUser-Agent: WardPhone/1.2\r\n"
            f"{kind}Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode()

    return [
        Message(CLIENT, message("INVITE sip:2001@pbx SIP/2.0", "INVITE", media), 0),
        Message(SERVER, message("SIP/2.0 100 Trying", "INVITE"), 0.01),
        Message(SERVER, message("SIP/2.0 180 Ringing", "INVITE"), 0.2),
        Message(SERVER, message("SIP/2.0 200 OK", "INVITE", media), 2.0),
        Message(CLIENT, message("ACK sip:2001@pbx SIP/2.0", "ACK"), 0.01),
        Message(CLIENT, message("BYE sip:2001@pbx SIP/2.0", "BYE"), 3.0),
        Message(SERVER, message("SIP/2.0 200 OK", "BYE"), 0.01),
    ]


def rtp(random: Random, length: int) -> list[Message]:
    """Both ways of a G.711 call, 20 ms a packet."""
    source = random.randrange(1 << 32)
    packets = max(length // 172, 4)
    return [
        Message(index & 1, pack(">BBHII", 0x80, 0, index >> 1, (index >> 1) * 160, source ^ index & 1) + bytes(160), 0.01)
        for index in range(packets)
    ]


# SSH (RFC 4253) and NTP (RFC 5905)


def ssh(random: Random, length: int) -> list[Message]:
    """Identification, key exchange, then a session that cannot be read."""
    algorithms = (
        "curve25519-sha256,ecdh-sha2-nistp256", "ssh-ed25519,rsa-sha2-512", "aes256-gcm@openssh.com",
        "aes256-gcm@openssh.com", "hmac-sha2-256", "hmac-sha2-256", "none", "none", "", "",
    )  # fmt: skip
    lists = b"".join(pack(">I", len(names)) + names.encode() for names in algorithms)

    def packet(payload: bytes) -> bytes:
        padding = 8 - (len(payload) + 5) % 8 + 8
        return pack(">IB", len(payload) + padding + 1, padding) + payload + random.randbytes(padding)

    def signed(size: int) -> bytes:
        return _string(_string(b"ssh-ed25519") + _string(random.randbytes(size)))

    start = b"\x14" + random.randbytes(16) + lists + bytes(5)
    messages = [
        Message(CLIENT, f"SSH-2.0-OpenSSH_9.{random.randrange(2, 8)}\r\n".encode(), 0.001),
        Message(SERVER, f"SSH-2.0-OpenSSH_8.{random.randrange(4, 9)}\r\n".encode(), 0.01),
        Message(CLIENT, packet(start), 0.002),
        Message(SERVER, packet(start), 0.002),
        Message(CLIENT, packet(b"\x1e" + _string(random.randbytes(32))), 0.002),
        Message(SERVER, packet(b"\x1f" + signed(32) + _string(random.randbytes(32)) + signed(64)), 0.004),
    ]
    messages += [Message(index & 1, random.randbytes(random.randrange(36, 200)), 0.1) for index in range(8)]
    messages.append(Message(SERVER, random.randbytes(max(length, 100)), 0.05))
    return messages


def _string(value: bytes) -> bytes:
    return pack(">I", len(value)) + value


def ntp(random: Random, length: int) -> list[Message]:
    """One question for the time."""
    del length
    answer = pack(">BBbb", 0x24, 2, 6, -20) + random.randbytes(48)[4:]
    return [Message(CLIENT, b"\x23" + bytes(47), 0), Message(SERVER, answer, 0.003)]
