from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.flow import Ends, FlowRecord
from agent.logs.gateway import Gateway
from agent.policy import Policy
from agent.privacy import MAX_CACHE, MAX_LIST, MAX_NAME, MAX_NUMBER, MAX_WORD, Privacy, Tokens, Zones, word
from agent.protocol import Fact
from nigrani.stream.codec import decode, encode
from nigrani.stream.event import Event
from tests.agent.packets import START

KEY = bytes(range(32))


def privacy(key: bytes = KEY, zones: Zones | None = None, host: str = "", **policy: Any) -> Privacy:
    return Privacy(key, agent="probe", boot="1", zones=zones, host=host, policy=Policy(**policy))


def halves(address: str) -> tuple[int, int]:
    number = int(ipaddress.ip_address(address))
    return number >> 64, number & (1 << 64) - 1


def ends(source: str = "10.0.0.1", destination: str = "10.0.0.2", kind: int = 4, protocol: int = 6) -> Ends:
    return Ends(7, kind, protocol, *halves(source), *halves(destination), 40_000, 104, 5, 0x02AABBCCDDEE, 0x02FFEEDDCCBB)


def record(way: Ends | None = None, **changes: Any) -> FlowRecord:
    side = (2, 140, 60, 0x12, 1, 60, 80, 60 * 60 + 80 * 80, 500, 500, 500, 250_000)
    values = {
        "ends": way or ends(),
        "reason": "closed",
        "protocol": "dicom",
        "part": 0,
        "begin": START,
        "start": START,
        "last": START + 500,
        "first": START + 20,
        "state": "SF",
        "source": side,
        "destination": (0,) * 12,
        "requests": 0,
        "replies": 0,
        "gratuitous": 0,
    }
    return FlowRecord(**{**values, **changes})


def told(event: Event) -> dict[str, Any]:
    line = encode(event)
    assert type(decode(line)) is type(event)
    found: dict[str, Any] = json.loads(line)
    return found


def test_tokens_are_stable_under_one_key_and_differ_under_another() -> None:
    first, again, other = (privacy(key).address("10.0.0.1") for key in (KEY, KEY, bytes(32)))
    assert first == again
    assert (first[0] != other[0], first[1] == other[1]) == (True, True)
    assert first[0] != privacy().address("10.0.0.2")[0]


def test_tokens_are_hmac_under_the_key() -> None:
    digest = hmac.new(KEY, b"ip\0\x0a\0\0\1", hashlib.sha256).hexdigest()
    assert Tokens(KEY).of("ip", b"\x0a\0\0\1") == f"ip:{digest[:16]}"
    assert Tokens(KEY).of("user", b"x") != Tokens(KEY).of("study", b"x").replace("study", "user")
    with pytest.raises(ValueError, match="31 bytes"):
        Tokens(bytes(31))


def test_the_memory_of_tokens_is_bounded() -> None:
    tokens = Tokens(KEY)
    for number in range(MAX_CACHE + 100):
        tokens.of("ip", number.to_bytes(4, "big"))
    assert len(tokens._known) <= MAX_CACHE
    assert tokens.of("ip", bytes(4)) == Tokens(KEY).of("ip", bytes(4))


def test_a_mapped_address_is_the_ipv4_address() -> None:
    one = privacy()
    assert one.address("::ffff:10.0.0.1") == one.address("10.0.0.1")
    mapped = told(one.flow(record(ends("::ffff:10.0.0.1", "2001:db8::1", 6))))
    assert mapped["source.address"] == one.address("10.0.0.1")[0]
    assert one.address("2001:DB8::0:1") == one.address("2001:db8::1")


@pytest.mark.parametrize("text", ["", "host", "10.0.0", "10.0.0.1.5", "1" * 9000, "\ud800", "10.0.0.1\0"])
def test_what_is_no_address_is_a_token_too(text: str) -> None:
    token, zone = privacy().address(text)
    assert (token[:3], len(token), zone) == ("ip:", 19, "unknown")


@pytest.mark.parametrize(
    ("address", "zone"),
    [
        ("10.20.1.1", "imaging"),
        ("10.20.1.200", "ct"),
        ("10.20.1.201", "imaging"),
        ("10.9.9.9", "internal"),
        ("172.16.5.5", "internal"),
        ("192.168.1.1", "guests"),
        ("8.8.8.8", "internet"),
        ("2001:db8::1", "internet"),
        ("fd00::1", "wards"),
        ("fe80::1", "internal"),
        ("127.0.0.1", "loopback"),
        ("224.0.0.251", "multicast"),
        ("ff02::1", "multicast"),
        ("255.255.255.255", "broadcast"),
        ("0.0.0.0", "unspecified"),
        ("::", "unspecified"),
        ("::ffff:10.20.1.1", "imaging"),
    ],
)
def test_the_longest_network_tells_the_zone(address: str, zone: str) -> None:
    zones = Zones(
        {"imaging": ["10.20.0.0/16"], "ct": ["10.20.1.200/32"], "guests": ["192.168.0.0/16"], "wards": ["FC00::/7"]}
    )
    assert privacy(zones=zones).address(address)[1] == zone


def test_a_zone_is_made_of_networks() -> None:
    with pytest.raises(ValueError, match="does not appear"):
        Zones({"x": ["10.0.0.0/33"]})
    with pytest.raises(ValueError, match="host bits"):
        Zones({"x": ["10.0.0.1/8"]})


def test_a_flow_record() -> None:
    one = privacy()
    event = told(one.flow(record()))
    source, destination = one.address("10.0.0.1")[0], one.address("10.0.0.2")[0]
    assert (event["host.id"], event["source.address"], event["destination.address"]) == (source, source, destination)
    assert {name: value for name, value in event.items() if isinstance(value, int)} == {
        "event.sequence": 0,
        "source.port": 40_000,
        "destination.port": 104,
        "network.vlan.id": 5,
        "event.duration": 500_000,
        "nigrani.flow.first_payload_us": 20,
        "source.packets": 2,
        "source.bytes": 140,
        "nigrani.source.payload_bytes": 60,
        "nigrani.source.retransmissions": 1,
    }
    assert event["nigrani.source.size"] == [60, 70, 80, 10]
    assert event["nigrani.source.gap_us"] == [500, 500, 500, 0]
    assert event["nigrani.source.tcp_flags"] == "SA"
    assert event["source.mac"] == Tokens(KEY).of("mac", bytes.fromhex("02aabbccddee"))
    assert event["@timestamp"] == "2023-11-14T22:13:20.000500Z"
    assert (event["network.transport"], event["network.type"], event["network.protocol"]) == ("tcp", "ipv4", "dicom")


def test_a_hosts_own_agent_tells_its_hosts_story() -> None:
    one = privacy(host="10.0.0.2")
    events = [one.flow(record()), one.fact(ends(), Fact("network.dns", START, {}, None)), one.status(START, "1", 1, 1, {})]
    assert {told(event)["host.id"] for event in events} == {one.address("10.0.0.2")[0]}


def test_a_clock_set_back_gives_no_negative_time() -> None:
    event = told(privacy().flow(record(start=START, last=START - 500, first=START - 100)))
    assert "event.duration" not in event
    assert "nigrani.flow.first_payload_us" not in event


def test_arp_and_rare_protocols() -> None:
    arp = Ends(1, 1, 0, 0, 10, 0, 20, 0, 0, 0, 0, 0)
    event = told(privacy().flow(record(arp, requests=3)))
    assert (event["network.type"], event["network.transport"], "source.mac" in event) == ("arp", "arp", False)
    assert told(privacy().flow(record(ends(protocol=132))))["network.transport"] == "sctp"
    assert told(privacy().flow(record(ends(protocol=200))))["network.transport"] == "200"


def test_ae_titles_leave_as_tokens_but_for_the_listed() -> None:
    fields: dict[str, object] = {"action": "associate-rq", "calling_ae": "CT_ROOM_3", "called_ae": "PACS"}
    event = told(privacy(ae_titles=["PACS"]).fact(ends(), Fact("dicom.association", START, fields, None)))
    assert event["dicom.called_ae"] == "PACS"
    assert event["dicom.calling_ae"] == Tokens(KEY).of("ae", b"CT_ROOM_3")


@pytest.mark.parametrize(
    ("policy", "name", "expected"),
    [
        ("suffix", "pacs.Hospital.example.", "hospital.example"),
        ("full", "PACS.hospital.example", "pacs.hospital.example"),
        ("token", "pacs.hospital.example", Tokens(KEY).of("name", b"pacs.hospital.example")),
        ("suffix", "example.", Tokens(KEY).of("name", b"example")),
        ("suffix", "dr-rao-laptop", Tokens(KEY).of("name", b"dr-rao-laptop")),
        ("suffix", "10.20.30.40", Tokens(KEY).of("ip", bytes([10, 20, 30, 40]))),
        ("full", "fd00::1", Tokens(KEY).of("ip", ipaddress.ip_address("fd00::1").packed)),
        ("suffix", "4.3.2.10.in-addr.arpa", "in-addr.arpa"),
        ("full", "4.3.2.10.in-addr.arpa", "in-addr.arpa"),
        ("full", "7.7.0.0.0.0.0.0.e.d.o.c.8.b.d.0.1.0.0.2.ip6.arpa", "ip6.arpa"),
        ("full", "ct-10-20-30-40.hospital.example", "hospital.example"),
        ("suffix", "ct_10_20_30_40.example", Tokens(KEY).of("name", b"ct_10_20_30_40.example")),
        ("suffix", "dr-rao-laptop.local", Tokens(KEY).of("name", b"dr-rao-laptop.local")),
        ("full", "dr-rao-laptop.local", "dr-rao-laptop.local"),
        ("suffix", "dc1.hospital.local", "hospital.local"),
        ("suffix", "", None),
        ("full", "a\nb.c\x1b[31m", "a�b.c�[31m"),
    ],
)
def test_domain_policies(policy: str, name: str, expected: str) -> None:
    event = told(privacy(domains=policy).fact(ends(), Fact("network.dns", START, {"question": name}, None)))
    assert event.get("dns.question.name") == expected


@given(st.text(max_size=200))
@example("\x00\x1b[2J\u2028\u202e\ud800x")
def test_words_are_printable_and_bounded(text: str) -> None:
    found = word(text)
    assert found.isprintable()
    assert len(found) == min(len(text), MAX_WORD)
    assert all(one in {other, "�"} for one, other in zip(found, text, strict=False))
    if text.isascii() and text.isprintable():
        assert found == text[:MAX_WORD]


@pytest.mark.parametrize("name", ["patient", "event.id", ""])
def test_an_unknown_field_of_a_fact_is_a_key_error(name: str) -> None:
    with pytest.raises(KeyError):
        privacy().fact(ends(), Fact("dicom.association", START, {"action": "c-echo", name: "x"}, None))


@pytest.mark.parametrize("name", ["id", "agent", "flow"])
def test_text_for_an_unclassified_field_is_a_key_error(name: str) -> None:
    with pytest.raises(KeyError):
        privacy().fact(ends(), Fact("dicom.association", START, {"action": "c-echo", name: "x"}, None))


@pytest.mark.parametrize("value", [b"RAO^ANITA", ["RAO^ANITA"], {"name": "RAO^ANITA"}, 4711, 3.5])
def test_a_classified_field_takes_text_alone(value: object) -> None:
    with pytest.raises(TypeError, match="study"):
        privacy().fact(None, Fact("ai.inference", START, {"source": "10.0.0.1", "study": value}, None))


def test_lists_and_numbers_are_bounded() -> None:
    syntaxes = tuple(map(str, range(99)))
    fields = {"action": "associate", "abstract_syntaxes": syntaxes, "contexts": 1 << 70, "reject_result": -5}
    event = told(privacy().fact(ends(), Fact("dicom.association", START, fields, None)))
    assert event["dicom.abstract_syntaxes"] == [*map(str, range(MAX_LIST))]
    assert (event["dicom.contexts"], event["dicom.reject.result"]) == (MAX_NUMBER, 0)
    sums = {"size": 1 << 80}
    assert told(privacy().fact(ends(), Fact("hl7.message", START, {}, sums)))["hl7.bytes"] == MAX_NUMBER


def test_ids_are_unique_and_the_same_every_time() -> None:
    def ids(boot: str = "1", agent: str = "probe") -> list[str]:
        one = Privacy(KEY, agent=agent, boot=boot)
        fact = Fact("network.dns", START, {}, None)
        events = [one.flow(record()), one.fact(ends(), fact), one.status(START, "1", 0, 0, {})]
        assert [event.sequence for event in events] == [0, 1, 2]
        return [event.id for event in events]

    assert ids() == ids()
    everything = [*ids(), *ids("2"), *ids(agent="other")]
    assert len(set(everything)) == 9


def test_a_flow_and_what_was_said_on_it_join() -> None:
    one, way = privacy(), ends()
    flow = told(one.flow(record(way)))
    fact = told(one.fact(way, Fact("network.dns", START, {"question": "x.y"}, None)))
    for name in ("nigrani.flow.id", "source.address", "destination.address", "network.transport", "host.id"):
        assert flow[name] == fact[name]
    assert flow["nigrani.flow.id"] != told(privacy().flow(record(Ends(8, 4, 6, *[0] * 9))))["nigrani.flow.id"]


def test_a_log_without_a_client_tells_of_the_agents_own_host() -> None:
    """As the heartbeat does, and no zone is made up; with a client it is the client's story."""
    for one in (privacy(), privacy(host="10.0.0.2")):
        own = told(one.status(START, "1", 0, 0, {}))["host.id"]
        for fields in ({}, {"source": ""}):
            event = told(one.fact(None, Fact("ai.inference", START, {"source": "", **fields, "model": "x"}, None)))
            assert event["host.id"] == own
            assert "nigrani.source.zone" not in event
            assert event["source.address"] == ""
    client = told(privacy().fact(None, Fact("ai.inference", START, {"source": "10.0.0.9"}, None)))
    assert client["host.id"] == client["source.address"] == privacy().address("10.0.0.9")[0]
    assert client["nigrani.source.zone"] == "internal"


def test_a_hardware_address_has_one_token_from_wire_and_message() -> None:
    flow = told(privacy().flow(record()))
    for text in ("02:aa:bb:cc:dd:ee", "02-AA-BB-CC-DD-EE"):
        fields: dict[str, object] = {"protocol": "dhcp", "client_mac": text}
        lease = told(privacy().fact(ends(), Fact("network.session", START, fields, None)))
        assert lease["dhcp.client_mac"] == flow["source.mac"]


def session(one: Privacy, **fields: object) -> dict[str, Any]:
    return told(one.fact(ends(), Fact("network.session", START, {"protocol": "smb", **fields}, None)))


def test_a_class_and_a_field_have_their_policies() -> None:
    one = privacy(
        classes={"user": "drop", "name": "keep", "ae": "keep", "mac": "drop"},
        fields={"smb.share": "drop", "kerberos.realm": "token", "nigrani.session.client_software": "drop"},
    )
    event = session(one, user="rao", share="scans", realm="HOSPITAL", service="krbtgt", client_software="x", version="3.1.1")
    assert {name: event[name] for name in event if name.startswith(("user", "smb", "kerberos", "nigrani.session"))} == {
        "kerberos.realm": Tokens(KEY).of("name", b"HOSPITAL"),
        "kerberos.service": "krbtgt",
        "nigrani.session.version": "3.1.1",
    }
    fields: dict[str, object] = {"action": "associate-rq", "calling_ae": "CT_3\x07", "abstract_syntaxes": ("1.2", "1.3")}
    dicom = told(one.fact(ends(), Fact("dicom.association", START, fields, None)))
    assert dicom["dicom.calling_ae"] == "CT_3�"
    assert "source.mac" not in told(one.flow(record()))
    assert "source.mac" in told(privacy().flow(record()))


def test_a_dropped_list_is_empty() -> None:
    one = privacy(fields={"dicom.abstract_syntaxes": "drop"})
    fields: dict[str, object] = {"action": "associate-rq", "abstract_syntaxes": ("1.2", "1.3")}
    assert "dicom.abstract_syntaxes" not in told(one.fact(ends(), Fact("dicom.association", START, fields, None)))


@pytest.mark.parametrize("name", ["10.20.30.40", "fd00::1", "CT-10-20-30-40", "10.20.30.40:104", "x" * 300, "a\nb\x1b[2J"])
def test_a_kept_name_holds_no_address_and_no_harm(name: str) -> None:
    found = session(privacy(classes={"name": "keep"}), share=name)["smb.share"]
    assert "20" not in found or found.startswith(("ip:", "name:"))
    assert found.isprintable()
    assert len(found) <= MAX_NAME


def test_a_zone_stands_in_for_an_address_but_never_for_the_host() -> None:
    zones = Zones({"ct": ["10.0.0.2/32"]})
    one = privacy(zones=zones, fields={"destination.address": "zone", "source.address": "zone"})
    logged = one.fact(None, Fact("ai.inference", START, {"source": "10.0.0.1", "destination": "10.0.0.2"}, None))
    for event in map(told, (one.flow(record()), one.fact(ends(), Fact("network.dns", START, {}, None)), logged)):
        assert event["source.address"] == "zone:internal"
        assert event["destination.address"] == "zone:ct"
        assert event["host.id"] == privacy().address("10.0.0.1")[0]


def test_each_token_is_told_once_and_again_after_forgetting() -> None:
    heard: list[tuple[str, bytes, bytes]] = []
    one = Privacy(KEY, agent="probe", boot="1", tell=lambda *what: heard.append(what))
    fact = Fact("ai.inference", START, {"source": "10.0.0.1", "user": "rao"}, None)

    def tell() -> list[tuple[str, bytes]]:
        for way in (ends(), ends()):
            one.flow(record(way))
            one.fact(way, Fact("hl7.message", START, {"sending_application": "RIS"}, None))
            one.fact(None, fact)
        told, heard[:] = sorted((kind, value) for kind, _, value in heard), []
        return told

    everything = [
        ("ip", bytes([10, 0, 0, 1])),
        ("ip", bytes([10, 0, 0, 2])),
        ("mac", bytes.fromhex("02aabbccddee")),
        ("mac", bytes.fromhex("02ffeeddccbb")),
        ("name", b"RIS"),
        ("user", b"rao"),
    ]
    assert heard.pop()[::2] == ("host", b"probe")
    assert tell() == everything
    assert tell() == []
    one.forget()
    assert tell() == everything
    for name in ("ward-7", "x1", "a:b"):
        one._kept(name)
        one._domain(name, MAX_WORD)
    assert not [kind for kind, _, _ in heard if kind == "ip"], "what is no address is not looked up as one"
    heard.clear()
    kind, token, value = ("ip", bytes.fromhex(one.address("10.0.0.1")[0][3:]), bytes([10, 0, 0, 1]))
    one.forget()
    one.address("10.0.0.1")
    assert heard == [(kind, token, value)]


NAMES = ["RAO^ANITA", "anita.rao@hospital.example", "CTROOM7AE", "canary-host-77", "ABHA-91-1234-5678"]
ADDRESSES = ["10.87.65.43", "203.0.113.77", "2001:db8:c0de::77"]
MAC = "02:c0:ff:ee:77:01"


def forms(value: bytes) -> set[bytes]:
    """What the value may look like in a text: as it is, in hexadecimal, and either backwards."""
    found = {value, value.hex().encode()}
    return {form.lower() for one in found for form in (one, one[::-1])} | {value[::-1].hex().encode()}


LOGGED = {"ai.inference", "ai.training", "ai.model_access", "dicom.audit"}
"""Datasets that logs tell of."""


def test_no_canary_leaves() -> None:
    one = privacy(domains="token")
    events: list[Event] = []
    for dataset, (_, ways) in one._plans.items():
        if dataset in {"network.flow", "agent.status"}:
            continue
        classified = [name for name, way in ways.items() if way not in {"", "word"} and name != "host"]
        words = {name: "word" for name, way in ways.items() if way == "word" and not name.endswith("_zone")}
        for value in [*NAMES, *ADDRESSES, MAC]:
            fields: dict[str, object] = {**words, **dict.fromkeys(classified, value)}
            for listed in ("sketch", "abstract_syntaxes"):
                fields.pop(listed, None)
            way = ends("10.87.65.43", "203.0.113.77")
            events.append(one.fact(None if dataset in LOGGED else way, Fact(dataset, START, fields, None)))
    way = Ends(1, 6, 6, *halves(ADDRESSES[2]), *halves("::ffff:10.87.65.43"), 1, 2, 0, int(MAC.replace(":", ""), 16), 0)
    events += [one.flow(record(way)), one.flow(record(ends(ADDRESSES[0], ADDRESSES[1]))), one.status(START, "0.1", 1, 1, {})]
    line = {
        "msec": 1_700_000_000.5,
        "client": ADDRESSES[0],
        "up": f"{ADDRESSES[1]}:8000",
        "cn": NAMES[0],
        "key": NAMES[1],
        "uri": f"/v2/models/lung/infer?patient={NAMES[4]}&from={ADDRESSES[0]}",
        "study": NAMES[4],
        "method": NAMES[2],
        "patient": NAMES[0],
        "body": {"name": NAMES},
    }
    for change in ({}, {"cn": ""}, {"client": NAMES[3], "up": NAMES[3] + ":80"}, {"uri": f"/v2/models/{NAMES[0]}/infer"}):
        events.append(one.fact(None, Gateway().parse(json.dumps({**line, **change}).encode())))
    text = b"\n".join(map(encode, events)).lower()
    secrets = [name.encode() for name in [*NAMES, *ADDRESSES, MAC]]
    secrets += [ipaddress.ip_address(address).packed for address in ADDRESSES] + [bytes.fromhex(MAC.replace(":", ""))]
    secrets += [str(int(ipaddress.ip_address(address))).encode() for address in ADDRESSES]
    for secret in secrets:
        for form in forms(secret):
            assert form not in text, (secret, form)
    assert text.count(b"ip:") > 50


@given(st.text(max_size=100), st.sampled_from(["user", "study", "source", "destination"]))
def test_any_text_becomes_an_event(text: str, name: str) -> None:
    fields: dict[str, object] = {"source": "10.0.0.1", name: text, "model": text, "sketch": (text,)}
    told(privacy().fact(None, Fact("ai.inference", START, fields, None)))
