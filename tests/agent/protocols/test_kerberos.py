from __future__ import annotations

import random
import shutil
import struct
import subprocess
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.protocol import Fact
from agent.protocols import PARSERS
from agent.protocols.kerberos import Kerberos
from nigrani.stream.events.session import NetworkSession

FIELDS = {field.name for field in msgspec.structs.fields(NetworkSession)}
REALM, USER, SERVICE = "HOSPITAL.EXAMPLE", "radiolog", "cifs/pacs.hospital.example"


def der(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    if len(body) < 0x80:
        return bytes((tag, len(body))) + body
    size = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(size))) + size + body


def number(value: int) -> bytes:
    return der(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def string(value: str) -> bytes:
    return der(0x1B, value.encode())


def part(tag: int, *parts: bytes) -> bytes:
    return der(0xA0 + tag, *parts)


def principal(name: str, kind: int = 2) -> bytes:
    return der(0x30, part(0, number(kind)), part(1, der(0x30, *map(string, name.split("/")))))


def kdc_request(kind: int, types: tuple[int, ...] = (18, 17, 23), *, padding: int = 20, user: str = USER) -> bytes:
    body = der(
        0x30,
        part(0, der(0x03, b"\0\x40\x81\0\x10")),
        *([part(1, principal(user, 1))] if user else []),
        part(2, string(REALM)),
        part(3, principal(SERVICE)),
        part(5, der(0x18, b"20370913024805Z")),
        part(7, number(0x3B9ACA00)),
        part(8, der(0x30, *map(number, types))),
    )
    pad = der(0x30, der(0x30, part(1, number(128)), part(2, der(0x04, bytes(padding)))))
    return der(0x60 + kind, der(0x30, part(1, number(5)), part(2, number(kind)), part(3, pad), part(4, body)))


def ticket(encryption: int) -> bytes:
    sealed = der(0x30, part(0, number(encryption)), part(1, number(2)), part(2, der(0x04, bytes(900))))
    return der(0x61, der(0x30, part(0, number(5)), part(1, string(REALM)), part(2, principal(SERVICE)), part(3, sealed)))


def kdc_reply(kind: int, encryption: int = 23) -> bytes:
    head = (part(0, number(5)), part(1, number(kind)))
    rest = (part(3, string(REALM)), part(4, principal(USER, 1)), part(5, ticket(encryption)), part(6, der(0x30)))
    return der(0x60 + kind, der(0x30, *head, *rest))


def error(code: int) -> bytes:
    head = (part(0, number(5)), part(1, number(30)), part(4, der(0x18, b"20261121214100Z")), part(5, number(1)))
    rest = (part(6, number(code)), part(9, string(REALM)), part(10, principal(f"krbtgt/{REALM}")))
    return der(0x7E, der(0x30, *head, *rest))


def service_request() -> bytes:
    head = (part(0, number(5)), part(1, number(14)), part(2, der(0x03, bytes(5))))
    return der(0x6E, der(0x30, *head, part(3, ticket(18)), part(4, b"\x30\0")))


AP_REQ = service_request()


def stream(*messages: bytes) -> bytes:
    return b"".join(struct.pack(">I", len(one)) + one for one in messages)


def feed(parser: Kerberos, direction: int, pieces: list[bytes]) -> None:
    """As the meter does it: what the parser does not want is left out."""
    skip = 0
    for piece in pieces:
        if skip < len(piece):
            skip = parser.data(direction, piece[skip:], len(piece) - skip, 1)
        else:
            skip -= len(piece)


def rows(facts: list[Fact]) -> list[dict[str, object]]:
    told = [dict(fact.fields) for fact in facts]
    for fact in told:
        assert FIELDS.issuperset(fact)
        assert fact.pop("protocol") == "kerberos"
    return told


def told(*payloads: bytes, direction: int = 0) -> list[dict[str, object]]:
    parser = Kerberos()
    for payload in payloads:
        feed(parser, direction, [payload])
    return rows(parser.fresh)


NAMES = {"realm": REALM, "service": SERVICE}


@pytest.mark.parametrize(
    ("message", "fact"),
    [
        (kdc_request(10), {"action": "AS-REQ", "user": USER, **NAMES, "encryption": "aes256"}),
        (kdc_request(12, (23, 18), user=""), {"action": "TGS-REQ", **NAMES, "encryption": "rc4"}),
        (kdc_request(10, (-135, 3)), {"action": "AS-REQ", "user": USER, **NAMES, "encryption": "-135"}),
        (kdc_request(10, ()), {"action": "AS-REQ", "user": USER, **NAMES}),
        (kdc_reply(11, 18), {"action": "AS-REP", "user": USER, **NAMES, "encryption": "aes256", "outcome": "success"}),
        (kdc_reply(13, 23), {"action": "TGS-REP", "user": USER, **NAMES, "encryption": "rc4", "outcome": "success"}),
        (kdc_reply(13, 17), {"action": "TGS-REP", "user": USER, **NAMES, "encryption": "aes128", "outcome": "success"}),
        (kdc_reply(13, 3), {"action": "TGS-REP", "user": USER, **NAMES, "encryption": "des", "outcome": "success"}),
        (AP_REQ, {"action": "AP-REQ", **NAMES, "encryption": "aes256"}),
    ],
)
@pytest.mark.parametrize("framed", [False, True])
def test_messages(message: bytes, fact: dict[str, str], framed: bool) -> None:
    payload = stream(message) if framed else message
    assert Kerberos.looks_like(payload, 40000, 40001)
    assert told(payload) == [fact]


@pytest.mark.parametrize(("code", "outcome"), [(6, "failure"), (18, "failure"), (24, "failure"), (25, None), (52, None)])
def test_errors(code: int, outcome: str | None) -> None:
    (fact,) = told(error(code))
    assert (fact["action"], fact["status"], fact.get("outcome")) == ("KRB-ERROR", str(code), outcome)
    assert (fact["realm"], fact["service"]) == (REALM, f"krbtgt/{REALM}")


def test_a_ticket_of_many_kilobytes_hides_only_what_is_behind_it() -> None:
    large = kdc_request(12, padding=20_000)
    assert told(stream(large, kdc_request(12))) == [{"action": "TGS-REQ"}, *told(kdc_request(12))]


def test_a_bad_datagram_does_not_hide_the_next() -> None:
    good, bad = kdc_request(10), b"\x6a\x05junk!" + bytes(40)
    assert told(good, bad, b"\0\1", b"\xff", kdc_reply(11)) == told(good, kdc_reply(11))
    with pytest.raises(ValueError, match="no Kerberos"):
        told(bad)


CONVERSATION = stream(kdc_request(10), kdc_request(12, padding=1400), kdc_request(12, (17,)))


def test_split_anywhere_tells_the_same() -> None:
    whole = told(CONVERSATION)
    assert len(whole) == 3
    for at in range(1, len(CONVERSATION)):
        parser = Kerberos()
        feed(parser, 0, [CONVERSATION[:at], CONVERSATION[at:]])
        assert rows(parser.fresh) == whole, at


@pytest.mark.parametrize("step", [1, 2, 3, 5, 100, 1000])
def test_in_pieces_tells_the_same(step: int) -> None:
    parser = Kerberos()
    feed(parser, 0, [CONVERSATION[at : at + step] for at in range(0, len(CONVERSATION), step)])
    assert rows(parser.fresh) == told(CONVERSATION)


@pytest.mark.parametrize("kept", [40, 100, 200, 300])
@pytest.mark.parametrize("framed", [False, True])
def test_snap_length(kept: int, framed: bool) -> None:
    reply = stream(kdc_reply(13)) if framed else kdc_reply(13)
    parser = Kerberos()
    assert Kerberos.looks_like(reply[:kept], 88, 40000)
    assert parser.data(1, reply[:kept], len(reply), 1) == 0
    (fact,) = rows(parser.fresh)
    assert fact.items() <= told(kdc_reply(13))[0].items()
    assert (fact["action"], fact["outcome"], "encryption" in fact) == ("TGS-REP", "success", kept >= 200)


def test_after_a_gap_the_next_message_counts() -> None:
    parser = Kerberos()
    first = stream(kdc_reply(11))
    parser.data(1, first[:200], 200, 1)
    parser.gap(1)
    parser.data(1, first[600:], len(first) - 600, 2)
    feed(parser, 1, [stream(error(6))])
    assert [fact["action"] for fact in rows(parser.fresh)] == ["KRB-ERROR"]


@pytest.mark.parametrize("message", [kdc_request(10), kdc_reply(13), AP_REQ, error(6)])
def test_no_other_protocol_claims_it(message: bytes) -> None:
    for payload in (message, stream(message)):
        for port in (88, 53, 1883, 389):
            assert [one.name for one in PARSERS if one.looks_like(payload, 40000, port)] == ["kerberos"]


@pytest.mark.parametrize(
    "payload", [b"", bytes(20), b"\x6a" * 20, b"\x60\x12" + bytes(20), b"\x30\x0c\2\1\1\x60" + bytes(20)]
)
def test_other_bytes_are_not_kerberos(payload: bytes) -> None:
    assert not Kerberos.looks_like(payload, 40000, 88)


def test_random_bytes_are_not_kerberos() -> None:
    source = random.Random(7)
    assert not any(Kerberos.looks_like(b"\x6a" + source.randbytes(64), 40000, 88) for _ in range(20_000))


@given(st.lists(st.tuples(st.integers(0, 1), st.binary(min_size=1, max_size=300), st.integers(0, 99)), max_size=6))
@settings(max_examples=200, deadline=None)
def test_random_bytes_give_facts_or_value_error(taken: list[tuple[int, bytes, int]]) -> None:
    heads = (kdc_request(10)[:30], stream(kdc_reply(11))[:34], b"")
    survive([(side, heads[missing % 3] + junk, missing) for side, junk, missing in taken])


@given(
    st.sampled_from((kdc_request(10), kdc_reply(13), AP_REQ, error(6))),
    st.integers(0, 300),
    st.binary(max_size=6),
    st.integers(1, 1200),
    st.integers(1, 400),
)
@settings(max_examples=500, deadline=None)
def test_mutated_messages_give_facts_or_value_error(whole: bytes, at: int, put: bytes, end: int, cut: int) -> None:
    mutated = (whole[:at] + put + whole[at + len(put) :])[:end]
    framed = stream(mutated)
    survive([(0, mutated, 0), (0, mutated, 9), (1, framed[:cut], 0), (1, framed[cut:] or b"\0", 5)])


def survive(taken: list[tuple[int, bytes, int]]) -> None:
    parser = Kerberos()
    try:
        for direction, payload, missing in taken:
            Kerberos.looks_like(payload, 1, 2)
            assert parser.data(direction, payload, len(payload) + missing, 1) >= 0
    except ValueError:
        pass
    rows(parser.fresh)


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_tshark_reads_the_same(tmp_path: Path) -> None:
    sent = [kdc_request(10), kdc_request(12, user=""), kdc_reply(11), kdc_reply(13), error(24)]
    capture = str(tmp_path / "kerberos.pcap")
    dump = "".join(f"000000 {one.hex(' ')}\n" for one in sent)
    subprocess.run(["text2pcap", "-q", "-u", "40000,88", "-", capture], input=dump, text=True, check=True, timeout=30)
    names = ("msg_type", "CNameString", "realm", "SNameString", "error_code", "etype", "ENCTYPE")
    wanted = [word for name in names for word in ("-e", f"kerberos.{name}")]
    command = ["tshark", "-r", capture, "-T", "fields", *wanted]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.splitlines()
    kinds = {"AS-REQ": "10", "AS-REP": "11", "TGS-REQ": "12", "TGS-REP": "13", "KRB-ERROR": "30"}
    encryptions = {"aes256": "18", "rc4": "23", "": ""}
    for payload, line in zip(sent, lines, strict=True):
        kind, user, realm, service, code, sealed, listed = line.split("\t")
        (fact,) = told(payload)
        assert (kinds[str(fact["action"])], fact.get("user", ""), fact["realm"]) == (kind, user, realm.split(",")[0])
        assert (fact["service"], fact.get("status", "")) == (service.replace(",", "/"), code)
        assert encryptions[str(fact.get("encryption", ""))] == (sealed or listed).split(",")[0]
