"""Canaries: names, ids, addresses and payloads seeded into traffic and logs, and the search for them in what leaves."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import json
import math
import struct
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from urllib.parse import quote

from tests.agent.packets import FLAGS, Frame, datagram, frame, pcap, segment
from tests.agent.protocols import test_dicom as dicom
from tests.agent.protocols import test_dns as dns
from tests.agent.protocols import test_kerberos as kerberos
from tests.agent.protocols import test_mqtt as mqtt
from tests.agent.protocols import test_rdp as rdp
from tests.agent.protocols import test_smb2 as smb2
from tests.agent.protocols import test_tls as tls
from tests.agent.protocols.test_dhcp import message as dhcp
from tests.agent.protocols.test_hl7 import framed
from tests.agent.protocols.test_sip import request as sip

PATIENT, PATIENT_ID, ABHA, ACCESSION = "VAZHAPPILLY^MEENAKSHI", "MRN7731905544", "91-7731-9055-4412", "ACC55190377X"
STUDY, FINDING, PASSWORD, BEARER = "1.2.826.0.1.77319.55.44.9001", "XQADENOCARCINOMA", "xq-hunter-77", "eyJxq77.c2VjcmV0"
PERSON, ADMIN, AE, ARCHIVE_AE = "dr.meenakshi.xq", "xqadmin@site-77.example", "XQ_CTROOM_7", "XQ_PACS_9"
MACHINE, LAPTOP, SHARE, FILE = "xq-build-77", "meenakshi-laptop-xq", "XQSHARE77", "xqscan_meenakshi.dcm"
REALM, SERVICE, DEVICE, APPLICATION = "XQREALM77.EXAMPLE", "cifs/xqfiles77", "xqpump-77", "XQRIS77"
JOB, SITE_NAME, PORTAL, PROMPT = "xqjob-77-4711", "xqhospital-4", "xqportal77", "xqprompt-cough-since-tuesday"
TEXTS = (
    PATIENT, PATIENT_ID, ABHA, ACCESSION, STUDY, FINDING, PASSWORD, BEARER, PERSON, ADMIN, AE, ARCHIVE_AE, MACHINE, LAPTOP,
    SHARE, FILE, REALM, SERVICE, DEVICE, APPLICATION, JOB, SITE_NAME, PORTAL, PROMPT, "MEENAKSHI", "VAZHAPPILLY",
)  # fmt: skip
CLIENT, SERVER, THIRD, SIXTH = "10.87.65.43", "203.0.113.77", "10.87.65.201", "2001:db8:c0de::77"
ADDRESSES = (CLIENT, SERVER, THIRD, SIXTH)
CARD = bytes.fromhex("02c0ffee7701")
OTHER_CARD = bytes.fromhex("02c0ffee7702")

PROTOCOLS = {"dicom", "hl7", "fhir", "http", "dns", "sip", "smb2", "mqtt", "tls", "kerberos", "dhcp", "rdp", "ssh"}
"""Of the capture's flows."""
NAMED = {
    "ae": (AE, ARCHIVE_AE),
    "user": (PERSON, ADMIN),
    "study": (STUDY, PATIENT_ID),
    "name": (SHARE, DEVICE, REALM, SERVICE, LAPTOP, APPLICATION, JOB, SITE_NAME),
}
"""What must come out as tokens, or the canaries never got as far as privacy."""


def forms(text: str) -> set[bytes]:
    """In lower case: what a text may look like where it has leaked."""
    found = set()
    for one in {text, text.lower(), text.upper()}:
        raw = one.encode()
        found |= {raw, raw[::-1], raw.hex().encode(), quote(one).encode(), json.dumps(one)[1:-1].encode()}
        found |= {one.encode("utf-16-le"), one.encode("utf-16-be")}
        found |= {kind(raw).hexdigest()[:16].encode() for kind in (hashlib.md5, hashlib.sha1, hashlib.sha256)}
    return {form.lower() for form in found}


def encoded(data: bytes) -> set[bytes]:
    """The letters of Base64 that these bytes give, wherever they begin within three."""
    found = set()
    for shift in range(3):
        letters = base64.b64encode(bytes(shift) + data)
        found.add(letters[math.ceil(shift * 8 / 6) : (shift + len(data)) * 8 // 6])
    return found


def addresses() -> Iterator[tuple[str, set[bytes], set[bytes]]]:
    """(Name, its forms in lower case, its forms as they are) of each address."""
    for text in ADDRESSES:
        address = ipaddress.ip_address(text)
        told = {text, address.exploded, str(int(address)), address.packed.hex(), address.reverse_pointer}
        if address.version == 4:
            told |= {text.replace(".", "-"), text.replace(".", "_"), f"{int(address):08x}"}
        yield text, {one.encode() for one in told}, {address.packed, address.packed[::-1]}
    for card in (CARD, OTHER_CARD):
        yield card.hex(":"), {card.hex(mark).encode() for mark in ":-"} | {card.hex().encode()}, {card, card[::-1]}


@cache
def _wanted() -> list[tuple[str, frozenset[bytes], frozenset[bytes]]]:
    texts = [
        (text, forms(text), {part for case in (text, text.lower(), text.upper()) for part in encoded(case.encode())})
        for text in TEXTS
    ]
    return [(name, frozenset(lower), frozenset(exact)) for name, lower, exact in [*texts, *addresses()]]


def leaks(left: Mapping[str, bytes]) -> list[tuple[str, str, bytes]]:
    """(Where, canary, its form) of all that got out."""
    found = []
    for where, data in left.items():
        low = data.lower()
        for name, lower, exact in _wanted():
            found += [(where, name, form) for form in lower if form in low]
            found += [(where, name, form) for form in exact if form in data]
    return found


def below(folder: Path, *but: str) -> dict[str, bytes]:
    """Every file below a folder, with what is not looked at left out."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in but)
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


# Traffic


def tcp(number: int, port: int, *messages: tuple[int, bytes], server: str = SERVER) -> list[Frame]:
    """A conversation: (direction, payload) in order, between a handshake and an end."""
    ends = {"client": (CLIENT, 40_000 + number), "server": (server, port)}
    following = [1001, 9001]
    clock = float(number)
    packets = [segment(1000, b"", "S", **ends), segment(9000, b"", "SA", back=True, **ends), segment(1001, b"", "A", **ends)]
    for direction, payload in messages:
        for at in range(0, len(payload), 1400):
            piece = payload[at : at + 1400]
            packets.append(segment(following[direction], piece, "PA", back=direction == 1, **ends))
            following[direction] += len(piece)
    packets += [segment(following[0], b"", "FA", **ends), segment(following[1], b"", "FA", back=True, **ends)]
    return [_carded(frame(packet, clock + place * 0.01)) for place, packet in enumerate(packets)]


def udp(number: int, port: int, *messages: tuple[int, bytes], server: str = SERVER) -> list[Frame]:
    """Datagrams: (direction, payload) in order."""
    one, other = (CLIENT, 40_000 + number), (server, port)
    packets = (datagram(*((other, one) if direction else (one, other)), payload) for direction, payload in messages)
    return [_carded(frame(packet, number + place * 0.01)) for place, packet in enumerate(packets)]


def _carded(one: Frame) -> Frame:
    return one._replace(data=OTHER_CARD + CARD + one.data[12:])


def capture() -> bytes:
    """All conversations, as a capture file."""
    return pcap(sorted(frames(), key=lambda one: one.when))


def frames() -> Iterator[Frame]:
    """Every protocol that is parsed, each with what it would be a fault to tell."""
    yield from tcp(1, 104, *_dicom())
    yield from tcp(2, 2575, *_hl7())
    yield from tcp(3, 8080, *_fhir())
    yield from tcp(4, 80, *_http())
    for number, name in enumerate((f"{LAPTOP}.local", f"{PATIENT_ID}.hospital.example", MACHINE, f"{CLIENT}", _pointer())):
        yield from udp(10 + number, 53, (0, dns.message(name)), (1, dns.message(name, flags=0x8183)))
    body = f"v=0\r\nc=IN IP4 {CLIENT}\r\ns={PATIENT}\r\n"
    yield from udp(20, 5060, (0, sip("INVITE", f"From: <sip:{PERSON}@{CLIENT}>", f"Contact: {ABHA}", body=body)))
    yield from tcp(21, 445, *_smb())
    yield from tcp(22, 1883, *_mqtt())
    yield from tcp(23, 443, (0, tls.record(22, tls.client_hello(name=f"{PORTAL}.{PATIENT_ID}.hospital.example".encode()))))
    yield from tcp(24, 88, (0, kerberos.stream(_ticket_request())))
    yield from udp(25, 67, (0, _lease()))
    yield from tcp(26, 3389, *_rdp())
    yield from tcp(27, 22, (0, f"SSH-2.0-OpenSSH_9.2 {PERSON}@{MACHINE}\r\n".encode()), (1, b"SSH-2.0-OpenSSH_9.2\r\n"))
    yield from tcp(28, 9999, (0, f"{PATIENT}|{FINDING}|{PASSWORD}\n".encode() * 9), (1, STUDY.encode()))
    yield _carded(frame(_sixth(), 30.0))
    yield _carded(frame(_asked(), 31.0))


def _pointer() -> str:
    return ipaddress.ip_address(CLIENT).reverse_pointer


def _dicom() -> Iterator[tuple[int, bytes]]:
    named = {"called": ARCHIVE_AE.encode(), "calling": AE.encode()}
    yield 0, dicom.negotiation(1, dicom.proposal(1, dicom.CT), dicom.user_information(), **named)
    yield 1, dicom.negotiation(2, dicom.answer(1, 0), dicom.user_information(), **named)
    store = dicom.command(0x0001, affected=dicom.CT.encode() + b"\0", instance=f"{STUDY}.10".encode(), data_set=b"\1\0")
    move = dicom.command(0x0021, affected=dicom.STUDY_MOVE.encode() + b"\0", destination=AE.encode() + b"\0")
    content = f"{PATIENT}\\{PATIENT_ID}\\{ACCESSION}\\{FINDING}".encode()
    yield 0, dicom.data(dicom.value(3, store)) + dicom.data(dicom.value(2, content))
    yield 0, dicom.data(dicom.value(3, move))
    yield 0, dicom.RELEASE


def _hl7() -> Iterator[tuple[int, bytes]]:
    text = (
        f"MSH|^~\\&|{APPLICATION}|WARD|XQEHR|X|20260105080000|{PASSWORD}|ADT^A01|{ACCESSION}|P|2.5\r"
        f"PID|1||{PATIENT_ID}^^^HOSP||{PATIENT}||19700101|F|||{ABHA}\rOBX|1|TX|||{FINDING}\r"
    )
    yield 0, framed(text.encode())
    yield 1, framed(f"MSH|^~\\&|XQEHR|X|{APPLICATION}|WARD|20260105080001||ACK^A01|7|P|2.5\rMSA|AA|{ACCESSION}\r".encode())


def _fhir() -> Iterator[tuple[int, bytes]]:
    found = json.dumps({"resourceType": "Patient", "id": PATIENT_ID, "name": PATIENT, "note": FINDING}).encode()
    lines = (
        f"GET /fhir/Patient/{PATIENT_ID}?name={PATIENT}&identifier={ABHA} HTTP/1.1",
        f"Host: {PORTAL}.hospital.example",
        f"Authorization: Bearer {BEARER}",
        f"User-Agent: Viewer/2.1 ({PERSON})",
        f"X-Forwarded-For: {THIRD}",
        "Accept: application/fhir+json",
    )
    yield 0, ("\r\n".join(lines) + "\r\n\r\n").encode()
    answer = f"HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json\r\nContent-Length: {len(found)}\r\n"
    yield 1, f"{answer}Set-Cookie: id={ABHA}\r\n\r\n".encode() + found


def _http() -> Iterator[tuple[int, bytes]]:
    body = f"user={PERSON}&password={PASSWORD}&patient={PATIENT}".encode()
    lines = (
        f"POST /portal/{PATIENT_ID}/{FILE} HTTP/1.1",
        f"Host: {SERVER}",
        f"Cookie: session={BEARER}",
        f"Referer: http://{THIRD}/{ABHA}",
        f"Content-Length: {len(body)}",
    )
    yield 0, ("\r\n".join(lines) + "\r\n\r\n").encode() + body
    yield 1, f"HTTP/1.1 302 Found\r\nLocation: /{PATIENT_ID}\r\nContent-Length: 0\r\n\r\n".encode()


def _smb() -> Iterator[tuple[int, bytes]]:
    yield 1, smb2.packet(smb2.negotiated(0x311))
    yield 0, smb2.packet(smb2.ntlm(PERSON))
    yield 0, smb2.packet(smb2.tree_connect(rf"\\{SERVER}\{SHARE}"))
    yield 1, smb2.packet(smb2.command(3, bytes(16), answer=True))
    yield 0, smb2.packet(smb2.create(1).replace("name".encode("utf-16-le"), FILE.encode("utf-16-le")))


def _mqtt() -> Iterator[tuple[int, bytes]]:
    yield 0, mqtt.connect(client=DEVICE, user=PERSON, password=PASSWORD, will=(f"lost/{PATIENT_ID}", FINDING))
    yield 1, mqtt.ACCEPTED
    yield 0, mqtt.publish(f"ward/{PATIENT_ID}/{PATIENT}", 40)


def _ticket_request() -> bytes:
    body = kerberos.der(
        0x30,
        kerberos.part(0, kerberos.der(0x03, b"\0\x40\x81\0\x10")),
        kerberos.part(1, kerberos.principal(PERSON, 1)),
        kerberos.part(2, kerberos.string(REALM)),
        kerberos.part(3, kerberos.principal(SERVICE)),
        kerberos.part(5, kerberos.der(0x18, b"20370913024805Z")),
        kerberos.part(7, kerberos.number(0x3B9ACA00)),
        kerberos.part(8, kerberos.der(0x30, *map(kerberos.number, (18, 17)))),
    )
    parts = (kerberos.part(1, kerberos.number(5)), kerberos.part(2, kerberos.number(10)), kerberos.part(4, body))
    return kerberos.der(0x6A, kerberos.der(0x30, *parts))


def _lease() -> bytes:
    wanted = ipaddress.ip_address(CLIENT).packed
    return dhcp(1, (53, b"\3"), (12, LAPTOP.encode()), (50, wanted), (61, b"\1" + CARD), (55, b"\1\3\6"), mac=CARD)


def _rdp() -> Iterator[tuple[int, bytes]]:
    yield 0, rdp.connection(0xE0, cookie=f"Cookie: mstshash={PERSON}\r\n".encode())
    yield 1, rdp.PLAIN_CONFIRM
    yield 0, rdp.core_data(LAPTOP[:15], 2600)


def _sixth() -> bytes:
    """The beginning of a conversation over IPv6."""
    head = struct.pack(">HHIIBBHHH", 40_029, 104, 1, 0, 0x50, FLAGS["S"], 8192, 0, 0)
    ends = ipaddress.ip_address(SIXTH).packed + ipaddress.ip_address(f"::ffff:{THIRD}").packed
    return bytes(12) + b"\x86\xdd" + struct.pack(">IHBB", 6 << 28, len(head), 6, 64) + ends + head


def _asked() -> bytes:
    """An ARP request."""
    ends = CARD + ipaddress.ip_address(CLIENT).packed + bytes(6) + ipaddress.ip_address(THIRD).packed
    return bytes(12) + b"\x08\x06" + struct.pack(">HHBBH", 1, 0x800, 6, 4, 1) + ends


# Logs


def logs() -> dict[str, list[str]]:
    """Format → lines: some that are read, then some that are not, as an attacker or a broken server writes them."""
    gateway = {
        "msec": 1_700_000_000.5, "client": CLIENT, "up": f"{SERVER}:8000", "cn": PERSON, "study": STUDY, "method": "POST",
        "uri": f"/v2/models/chest/infer?patient={PATIENT}&from={THIRD}", "status": 200, "body": FINDING,
    }  # fmt: skip
    stored = "I1114 22:13:21.503449 CommandDispatcher.cpp:490] Incoming Store request from AET"
    return {
        "ai-gateway": [json.dumps(gateway), json.dumps({**gateway, "cn": "", "key": ADMIN, "uri": f"/{PATIENT_ID}/{FILE}"})],
        "ai-http-access": [
            f'2023-11-14 22:13:20,976 - /{CLIENT}:64003 "POST /predictions/lung/{PATIENT_ID}?n={PATIENT} HTTP/1.1" 200 118',
            f'INFO:     {CLIENT}:42774 - "POST /v1/chat/completions?user={PERSON} HTTP/1.1" 200 OK',
            f'[GIN] 2023/11/14 - 22:13:20 | 200 | 1.3s | {THIRD} | POST     "/api/generate?p={PROMPT}"',
            f"INFO 04-20 17:17:47 [logger.py:39] Received request chatcmpl-1: prompt: '{PROMPT} {PATIENT}', params: x",
        ],
        "dicom-audit": [_audit()],
        "nvflare-audit": [
            f"[E:157f4bbe][T:2023-11-14 22:13:20.653259][U:?][A:_cert_login {ADMIN}]",
            f"[E:157f4bbf][T:2023-11-14 22:13:21.653259][U:{ADMIN}][A:submit_job /home/{PERSON}/{PATIENT_ID}]",
            f"[E:157f4bc0][T:2023-11-14 22:13:22.1][J:{JOB}][A:train#1]sent task to client '{SITE_NAME}' {PATIENT}",
        ],
        "orthanc": [
            f"I1114 22:13:20.503449 CommandDispatcher.cpp:490] Association Received from AET {AE} on IP {CLIENT}",
            f"{stored} {AE} on IP {CLIENT}, calling AET {ARCHIVE_AE}",
            f"I1114 22:13:22.503449 HttpServer.cpp:1] GET /studies/{STUDY}/archive?name={PATIENT}",
            f"E1114 22:13:23.503449 ServerContext.cpp:1] Exception while storing DICOM: {PATIENT} {FINDING}",
        ],
        "training-ledger": [
            json.dumps({"time": 1_700_000_000, "action": "update", "job": JOB, "site": SITE_NAME, "user": PERSON,
                        "dataset": f"/data/{PATIENT_ID}", "note": FINDING}),
        ],
        "triton-trace": [
            json.dumps([{"id": 1, "model_name": "chest"}, {"id": 1, "request_id": PATIENT_ID, "timestamps": [
                {"name": "HTTP_RECV_START", "ns": 1}, {"name": "HTTP_SEND_END", "ns": 9}]},
                {"id": 2, "model_name": "chest", "activity": "x", "tensor": {"name": PATIENT, "data": FINDING}}])[:-1],
        ],
    }  # fmt: skip


def broken(lines: Iterable[str]) -> Iterator[str]:
    """Lines that are not of the format any more, canaries and all."""
    for line in lines:
        for at in range(3, len(line), max(len(line) // 9, 1)):
            yield line[:at]
            yield line[at:]
            yield f"{line[:at]}{PATIENT}{line[at:]}"
    yield f"{PATIENT} {PATIENT_ID} {CLIENT} {PASSWORD}"
    yield json.dumps({"msec": PATIENT, "client": CLIENT, "uri": PATIENT_ID})
    yield json.dumps({"time": PATIENT_ID, "action": FINDING})
    yield json.dumps({"id": PATIENT, "model_name": PATIENT_ID})
    yield json.dumps({PATIENT: {PATIENT_ID: FINDING}})
    yield f"[E:{PATIENT}][T:{PATIENT_ID}][A:{FINDING}]"
    yield f"<AuditMessage><{PATIENT_ID} {PERSON}='{FINDING}'/></AuditMessage>"
    yield f"<!DOCTYPE x [<!ENTITY {PERSON} '{FINDING}'>]><AuditMessage>&{PERSON};</AuditMessage>"


def _audit() -> str:
    return (
        '<85>1 2023-11-14T22:13:20.600Z archive xq 1 DICOM+RFC3881 - <?xml version="1.0" encoding="UTF-8"?><AuditMessage>'
        '<EventIdentification EventActionCode="R" EventDateTime="2023-11-14T22:13:20Z" EventOutcomeIndicator="0">'
        '<EventID csd-code="110104"/></EventIdentification>'
        f'<ActiveParticipant UserID="{ARCHIVE_AE}" UserIsRequestor="false" NetworkAccessPointID="{SERVER}">'
        '<RoleIDCode csd-code="110153"/><UserIDTypeCode csd-code="110119"/></ActiveParticipant>'
        f'<ActiveParticipant UserID="{PERSON}" UserName="{PERSON}" UserIsRequestor="true" NetworkAccessPointID="{CLIENT}"/>'
        f'<AuditSourceIdentification AuditSourceID="{MACHINE}"/>'
        f'<ParticipantObjectIdentification ParticipantObjectID="{STUDY}" ParticipantObjectTypeCodeRole="3"/>'
        f'<ParticipantObjectIdentification ParticipantObjectID="{PATIENT_ID}" ParticipantObjectTypeCodeRole="1">'
        f"<ParticipantObjectName>{PATIENT}</ParticipantObjectName></ParticipantObjectIdentification></AuditMessage>"
    )
