from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.protocol import Fact
from agent.protocols import PARSERS
from agent.protocols.sip import METHODS, MOST_MEDIA, Sip
from nigrani.stream.events.session import NetworkSession

FIELDS = {field.name for field in msgspec.structs.fields(NetworkSession)}
BODY = "v=0\r\no=- 1 1 IN IP4 10.0.0.5\r\nINVITE sip:x SIP/2.0\r\n\r\n"
OFFER = "v=0\r\no=- 1 1 IN IP4 10.0.0.5\r\ns=-\r\nc=IN IP4 {}\r\nt=0 0\r\nm=audio 17000 RTP/AVP 0\r\n"


def message(start: str, method: str, *headers: str, body: str = "") -> bytes:
    common = ("Via: SIP/2.0/UDP 10.0.0.5;branch=z9hG4bK1", "From: <sip:ward7@x>", f"CSeq: 314 {method}", *headers)
    return "\r\n".join((start, *common, f"Content-Length: {len(body)}", "", body)).encode()


def request(method: str, *headers: str, body: str = "") -> bytes:
    return message(f"{method} sip:nurse@10.0.0.9 SIP/2.0", method, *headers, body=body)


def response(status: str, method: str, *headers: str, body: str = "") -> bytes:
    return message(f"SIP/2.0 {status}", method, *headers, body=body)


INVITE = request("INVITE", "User-Agent: Asterisk/18.2 (site 7)", body=BODY)
OK = response("200 OK", "INVITE", "Server: Kamailio/5.7", body=BODY)


def rows(facts: list[Fact]) -> list[dict[str, object]]:
    for fact in facts:
        assert FIELDS.issuperset(fact.fields)
        assert fact.fields["protocol"] == "sip"
    return [{name: value for name, value in fact.fields.items() if name != "protocol"} for fact in facts]


def told(*payloads: bytes, direction: int = 0) -> list[dict[str, object]]:
    parser = Sip()
    for payload in payloads:
        assert parser.data(direction, payload, len(payload), 1) == 0
    return rows(parser.fresh)


def test_call() -> None:
    ringing, ack, bye = response("180 Ringing", "INVITE"), request("ACK"), request("BYE")
    assert told(INVITE, ringing, OK, ack, bye) == [
        {"action": "INVITE", "client_software": "Asterisk/18.2"},
        {"action": "INVITE", "status": "180"},
        {"action": "INVITE", "status": "200", "outcome": "success", "server_software": "Kamailio/5.7"},
        {"action": "ACK"},
        {"action": "BYE"},
    ]


@pytest.mark.parametrize("method", ["INVITE", "ACK", "PRACK", "UPDATE"])
@pytest.mark.parametrize("address", ["10.0.0.77", "192.0.2.9/127", "2001:db8::7"])
def test_where_a_call_wants_its_media(method: str, address: str) -> None:
    body = OFFER.format(address).replace("c=IN IP4", "c=IN IP6" if ":" in address else "c=IN IP4")
    found = told(request(method, body=body), response("200 OK", method, body=body))
    assert [row["media"] for row in found] == [address.partition("/")[0]] * 2


@pytest.mark.parametrize("body", [OFFER.format("0.0.0.0"), OFFER.format("::"), OFFER.format("pbx.test"), "c=IN", "x"])
def test_an_offer_without_an_address(body: str) -> None:
    assert "media" not in told(request("INVITE", body=body))[0]


def test_only_what_agrees_on_media_is_read() -> None:
    body = OFFER.format("10.0.0.77")
    for method in ("OPTIONS", "MESSAGE"):
        assert told(request(method, body=body)) == [{"action": method}]


def test_a_body_ends_where_its_length_says() -> None:
    """What follows in a stream is another message's."""
    second = request("INVITE", body=OFFER.format("10.0.0.78"))
    assert [row.get("media") for row in told(request("INVITE") + second)] == [None, "10.0.0.78"]


def test_addresses_of_media_are_bounded() -> None:
    offers = [request("INVITE", body=OFFER.format(f"10.0.1.{number}")) for number in range(MOST_MEDIA + 9)]
    parser = Sip()
    for offer in (*offers, offers[0]):
        parser.data(0, offer, len(offer), 1)
    assert len([fact for fact in parser.fresh if "media" in fact.fields]) == MOST_MEDIA
    assert sum(fact.count for fact in (*parser.fresh, *parser.cut())) == MOST_MEDIA + 10, "the calls themselves are all told"


@pytest.mark.parametrize("method", METHODS)
def test_methods(method: str) -> None:
    assert Sip.looks_like(request(method), 40000, 40001)
    assert told(request(method)) == [{"action": method}]
    assert told(response("404 Not Found", method)) == [{"action": method, "status": "404", "outcome": "failure"}]


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("100 Trying", None),
        ("202 Accepted", "success"),
        ("302 Moved", None),
        ("401 Unauthorized", None),
        ("407 Proxy Authentication Required", None),
        ("403 Forbidden", "failure"),
        ("503 Service Unavailable", "failure"),
        ("603 Decline", "failure"),
    ],
)
def test_outcomes(status: str, outcome: str | None) -> None:
    assert told(response(status, "REGISTER"))[0].get("outcome") == outcome


@pytest.mark.parametrize(
    "payload",
    [
        b"SIP/2.0 200 OK\r\ncseq:1 INVITE\r\n\r\n",
        b"SIP/2.0 200 OK\r\nCSEQ  :  17   INVITE\r\nl: 0\r\n\r\n",
        b"SIP/2.0 200 \r\nCSeq: 1 INVITE\r\n\r\n",
    ],
)
def test_header_forms(payload: bytes) -> None:
    assert told(payload)[0]["action"] == "INVITE"


def registered(*headers: str, method: str = "REGISTER", status: str = "200 OK", to: str = "<sip:1001@clinic>") -> bytes:
    return response(status, method, f"To: {to}", *headers)


@pytest.mark.parametrize(
    ("headers", "contact", "contacts"),
    [
        (("Contact: <sip:1001@10.0.0.5:5060;transport=udp>;expires=3600",), "10.0.0.5", 1),
        (("m:sip:1001@10.0.0.5;expires=60",), "10.0.0.5", 1),
        (("CONTACT : sips:1001@[2001:DB8::5]:5061",), "2001:db8::5", 1),
        (('Contact: "a <sip:x@10.9.9.9>, \\" b" <sip:1001@10.0.0.5>',), "10.0.0.5", 1),
        (("Contact: <sip:1001@10.0.0.5>, <sip:1001@10.0.0.6>",), "10.0.0.5", 2),
        (("Contact: <sip:1001@10.0.0.5>", "Contact: <sip:1001@10.0.0.6>"), "10.0.0.5", 2),
        (("Contact: <sip:ward7.clinic>",), "ward7.clinic", 1),
    ],
)
def test_a_registration_tells_whose_it_is_and_where(headers: tuple[str, ...], contact: str, contacts: int) -> None:
    assert told(registered(*headers)) == [
        {
            "action": "REGISTER",
            "status": "200",
            "outcome": "success",
            "user": "1001",
            "contact": contact,
            "contacts": contacts,
        }
    ]


@pytest.mark.parametrize(
    "headers", [(), ("Contact: *",), ("Contact: ",), ("Contact: <tel:1001>",), ("Contactor: <sip:a@b>",)]
)
def test_an_account_without_a_contact(headers: tuple[str, ...]) -> None:
    assert told(registered(*headers)) == [{"action": "REGISTER", "status": "200", "outcome": "success", "user": "1001"}]


@pytest.mark.parametrize(
    ("to", "user"),
    [
        ("sip:1001@clinic;tag=7", "1001"),
        ('"sip:7@x" <sip:1001@clinic>', "1001"),
        ("Ward Seven <SIPS:1001:secret@clinic;user=phone>", "1001"),
        ("<sip:%31001@clinic>", "1001"),
        ("<sip:clinic>", None),
        ("<tel:1001>", None),
        (f"<sip:{'9' * 65}@clinic>", None),
        ('"' + 500 * '\\"', None),
    ],
)
def test_accounts(to: str, user: str | None) -> None:
    assert told(registered(to=to))[0].get("user") == user


def test_only_an_accepted_registration_names_an_account() -> None:
    contact = "Contact: <sip:1001@10.0.0.5>"
    assert told(
        request("REGISTER", "To: <sip:1001@clinic>", contact),
        registered(contact, status="401 Unauthorized"),
        registered(contact, status="403 Forbidden"),
        registered(contact, method="INVITE"),
    ) == [
        {"action": "REGISTER"},
        {"action": "REGISTER", "status": "401"},
        {"action": "REGISTER", "status": "403", "outcome": "failure"},
        {"action": "INVITE", "status": "200", "outcome": "success"},
    ]


def test_accounts_of_a_conversation_are_bounded() -> None:
    parser = Sip()
    for _ in range(2):
        for number in range(100):
            payload = registered(to=f"<sip:{number}@clinic>")
            parser.data(1, payload, len(payload), 1)
    assert [row.get("user") for row in rows(parser.fresh)] == [*map(str, range(32)), None]
    assert parser.overflow == 0


def test_an_unknown_method_is_not_told() -> None:
    assert told(response("200 OK", "INVITED")) == [{"status": "200", "outcome": "success"}]


def test_keep_alives_and_strangers_are_passed_over() -> None:
    assert told(INVITE, b"\r\n\r\n", b"\0\0\0\0", b"\0\1\0\0\x21\x12\xa4\x42", b"jaK", OK) == told(INVITE, OK)
    with pytest.raises(ValueError, match="no SIP start line"):
        told(b"\0\1\0\0\x21\x12\xa4\x42")


def test_a_datagrams_announced_length_may_lie() -> None:
    lie = INVITE.replace(f"Content-Length: {len(BODY)}".encode(), b"Content-Length: 999999999")
    assert told(lie, OK) == told(INVITE, OK)


STREAM = INVITE + b"\r\n\r\n" + request("REGISTER") + OK + request("OPTIONS", body="x" * 700) + request("BYE")


def test_stream() -> None:
    assert [fact["action"] for fact in told(STREAM)] == ["INVITE", "REGISTER", "INVITE", "OPTIONS", "BYE"]


def test_stream_split_anywhere_tells_the_same() -> None:
    whole = told(STREAM)
    inside = STREAM.index(b"INVITE sip:x")
    for at in range(1, len(STREAM)):
        if at != inside and STREAM[at:].find(b"INVITE sip:x"):  # a segment that begins so is taken for a message
            assert told(STREAM[:at], STREAM[at:]) == whole, at


@pytest.mark.parametrize("step", [1, 2, 3, 5, 64, 500])
def test_stream_in_pieces_tells_the_same(step: int) -> None:
    assert told(*(STREAM[at : at + step] for at in range(0, len(STREAM), step))) == told(STREAM)


@pytest.mark.parametrize("kept", [16, 60, 120, 200])
def test_snap_length(kept: int) -> None:
    parser = Sip()
    assert Sip.looks_like(OK[:kept], 5060, 40000)
    assert parser.data(1, OK[:kept], len(OK), 1) == 0
    assert parser.data(1, INVITE, len(INVITE), 2) == 0
    first, second = rows(parser.fresh)
    assert (first["status"], second["action"]) == ("200", "INVITE")
    assert first.get("action", "INVITE") == "INVITE"


def test_endless_head_is_bounded() -> None:
    endless = INVITE[:100] + b"X-Pad: " + b"a" * 3000
    assert told(endless, b"a" * 3000, b"a" * 3000) == [{"action": "INVITE"}]


def test_after_a_gap_the_next_message_counts() -> None:
    parser = Sip()
    parser.data(0, INVITE[:150], 150, 1)
    parser.gap(0)
    parser.data(0, BODY.encode(), len(BODY), 2)
    parser.data(0, OK, len(OK), 3)
    assert rows(parser.fresh) == told(OK)


@pytest.mark.parametrize("payload", [INVITE, OK, request("NOTIFY"), INVITE[:60]])
def test_no_other_protocol_claims_it(payload: bytes) -> None:
    for port in (5060, 53, 1883, 80, 2575):
        assert [one.name for one in PARSERS if one.looks_like(payload, 40000, port)] == ["sip"]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"I",
        b"NOTIFY * HTTP/1.1\r\nHost: x\r\n",
        b"OPTIONS / HTTP/1.1\r\n\r\n",
        b"OPTIONS rtsp://x RTSP/1.0\r\n",
        b"SUBSCRIBE http://x/ HTTP/1.1\r\n\r\n",
        b"SIP/3.0 200 OK\r\n\r\n",
        b"SIP/2.0 900 OK\r\n\r\n",
    ],
)
def test_other_texts_are_not_sip(payload: bytes) -> None:
    assert not Sip.looks_like(payload, 5060, 5060)


def test_random_bytes_are_not_sip() -> None:
    source = random.Random(7)
    assert not any(Sip.looks_like(source.randbytes(64), 5060, 5060) for _ in range(20_000))


@given(st.lists(st.tuples(st.integers(0, 1), st.binary(min_size=1, max_size=300), st.integers(0, 99)), max_size=6))
@settings(max_examples=200, deadline=None)
def test_random_bytes_give_facts_or_value_error(taken: list[tuple[int, bytes, int]]) -> None:
    survive(taken)


@given(st.integers(0, 900), st.binary(max_size=6), st.integers(1, 900), st.integers(1, 900))
@settings(max_examples=300, deadline=None)
def test_mutated_messages_give_facts_or_value_error(at: int, put: bytes, end: int, cut: int) -> None:
    mutated = (STREAM[:at] + put + STREAM[at + len(put) :])[:end]
    survive([(0, mutated[:cut], 0), (0, mutated[cut:] or b"\n", 5), (1, mutated, 0)])


def survive(taken: list[tuple[int, bytes, int]]) -> None:
    parser = Sip()
    try:
        for direction, payload, missing in taken:
            assert parser.data(direction, payload, len(payload) + missing, 1) == 0
    except ValueError:
        pass
    rows(parser.fresh)


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_tshark_reads_the_same(tmp_path: Path) -> None:
    sent = [request(method, "User-Agent: Phone/1.0") for method in METHODS]
    sent += [response(f"{code} x", "REGISTER") for code in (100, 200, 301, 401, 486, 503, 603)]
    dump = "".join(f"000000 {one.hex(' ')}\n" for one in sent)
    capture = str(tmp_path / "sip.pcap")
    subprocess.run(["text2pcap", "-q", "-u", "5060,5060", "-", capture], input=dump, text=True, check=True, timeout=30)
    names = ("Method", "Status-Code", "CSeq.method", "User-Agent")
    wanted = [part for name in names for part in ("-e", f"sip.{name}")]
    command = ["tshark", "-r", capture, "-T", "fields", *wanted]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.splitlines()
    for payload, line in zip(sent, lines, strict=True):
        method, status, sequence, software = line.split("\t")
        (fact,) = told(payload)
        assert (fact["action"], fact.get("status", "")) == (method or sequence, status)
        assert fact.get("client_software", "") == software
