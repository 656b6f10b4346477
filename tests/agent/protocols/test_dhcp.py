from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.protocols import PARSERS
from agent.protocols.dhcp import MESSAGE_TYPES, Dhcp
from nigrani.stream.events.session import NetworkSession

FIELDS = {field.name for field in msgspec.structs.fields(NetworkSession)}
MAC = bytes.fromhex("0200c0ffee01")


def message(operation: int, *options: tuple[int, bytes], mac: bytes = MAC) -> bytes:
    head = bytes((operation, 1, 6, 0)) + b"\xde\xad\xbe\xef" + bytes(20) + mac.ljust(16, b"\0") + bytes(192)
    return head + b"\x63\x82\x53\x63" + b"".join(bytes((code, len(value))) + value for code, value in options) + b"\xff"


REQUEST = message(
    1,
    (53, b"\3"),
    (61, b"\1" + MAC),
    (12, b"infusion-pump-7"),
    (60, b"MSFT 5.0"),
    (55, bytes((1, 15, 3, 6, 44, 46, 47, 31, 33, 121, 249, 43))),
)
ACK = message(2, (53, b"\5"), (54, b"\x0a\0\0\1"), (51, b"\0\0\x0e\x10"))


def told(*payloads: bytes) -> list[dict[str, object]]:
    parser = Dhcp()
    for payload in payloads:
        assert parser.data(0, payload, len(payload), 1) == 0
    for fact in parser.fresh:
        assert FIELDS.issuperset(fact.fields)
    return [fact.fields for fact in parser.fresh]


def test_request() -> None:
    assert told(REQUEST) == [
        {
            "protocol": "dhcp",
            "action": "REQUEST",
            "fingerprint": "1,15,3,6,44,46,47,31,33,121,249,43",
            "client_software": "MSFT 5.0",
            "client_name": "infusion-pump-7",
            "client_mac": "02:00:c0:ff:ee:01",
        }
    ]


def test_answer() -> None:
    assert told(ACK) == [{"protocol": "dhcp", "action": "ACK", "outcome": "success", "client_mac": "02:00:c0:ff:ee:01"}]
    assert told(message(2, (53, b"\6")))[0]["outcome"] == "failure"


@pytest.mark.parametrize(("kind", "name"), [*enumerate(MESSAGE_TYPES[1:], 1), (99, "TYPE99")])
def test_message_types(kind: int, name: str) -> None:
    assert told(message(1, (53, bytes((kind,)))))[0]["action"] == name


def test_bootp_has_no_message_type() -> None:
    assert told(message(1))[0]["action"] == "BOOTREQUEST"
    assert told(message(2, (1, b"\xff\xff\xff\0")))[0]["action"] == "BOOTREPLY"


def test_parts_of_one_option_are_joined_and_padding_is_passed() -> None:
    payload = message(1, (53, b"\1"), (55, b"\1\3"))[:-1] + b"\0\0" + bytes((55, 1, 6))
    (fact,) = told(payload + b"\xff" + bytes((12, 1)) + b"x")
    assert (fact["fingerprint"], "client_name" in fact) == ("1,3,6", False)


def test_a_bad_datagram_does_not_hide_the_next() -> None:
    bad = REQUEST[:236] + b"\0\0\0\0" + REQUEST[240:]
    assert told(REQUEST, bad, b"\xff" * 300, ACK) == [*told(REQUEST), *told(ACK)]
    with pytest.raises(ValueError, match="no DHCP header"):
        told(bad)


@pytest.mark.parametrize("kept", [44, 214, 236, 240, 242, 243, 256, 270, 300])
def test_snap_length(kept: int) -> None:
    assert Dhcp.looks_like(REQUEST[:kept], 68, 67)
    parser = Dhcp()
    assert parser.data(0, REQUEST[:kept], len(REQUEST), 1) == 0
    (fact,) = (fact.fields for fact in parser.fresh)
    assert fact["client_mac"] == "02:00:c0:ff:ee:01"
    assert fact["action"] == ("REQUEST" if kept >= 243 else "BOOTREQUEST")
    assert fact.get("client_name", "infusion-pump-7") == "infusion-pump-7"


def test_a_flood_of_options_is_read_in_part() -> None:
    payload = message(1, *[(55, b"\1")] * 20_000)
    (fact,) = told(payload)
    assert len(str(fact["fingerprint"])) < 1000


@pytest.mark.parametrize("payload", [REQUEST, ACK])
def test_no_other_protocol_claims_it(payload: bytes) -> None:
    assert [one.name for one in PARSERS if one.looks_like(payload, 68, 67)] == ["dhcp"]
    assert [one.name for one in PARSERS if one.looks_like(payload, 40000, 53)] == ["dhcp"]


def test_random_bytes_are_not_dhcp() -> None:
    source = random.Random(7)
    assert not any(Dhcp.looks_like(source.randbytes(300), 68, 67) for _ in range(20_000))
    assert not Dhcp.looks_like(REQUEST[:200], 40000, 67)


@given(st.lists(st.binary(min_size=1, max_size=400), max_size=5))
@settings(max_examples=200, deadline=None)
def test_random_bytes_give_facts_or_value_error(taken: list[bytes]) -> None:
    survive(taken)


@given(st.integers(0, 320), st.binary(max_size=8), st.integers(1, 320))
@settings(max_examples=300, deadline=None)
def test_mutated_messages_give_facts_or_value_error(at: int, put: bytes, end: int) -> None:
    survive([(REQUEST[:at] + put + REQUEST[at + len(put) :])[:end]])


def survive(taken: list[bytes]) -> None:
    parser = Dhcp()
    try:
        for payload in taken:
            assert parser.data(0, payload, len(payload), 1) == 0
    except ValueError:
        pass
    assert all(FIELDS.issuperset(fact.fields) for fact in parser.fresh)


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_tshark_reads_the_same(tmp_path: Path) -> None:
    dump = f"000000 {REQUEST.hex(' ')}\n"
    capture = str(tmp_path / "dhcp.pcap")
    subprocess.run(["text2pcap", "-q", "-u", "68,67", "-", capture], input=dump, text=True, check=True, timeout=30)
    names = ("option.dhcp", "option.request_list_item", "option.vendor_class_id", "option.hostname", "hw.mac_addr")
    wanted = [part for name in names for part in ("-e", f"dhcp.{name}")]
    command = ["tshark", "-r", capture, "-T", "fields", *wanted]
    line = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.rstrip("\n")
    kind, requested, vendor, host, macs = line.split("\t")
    (fact,) = told(REQUEST)
    assert fact["action"] == MESSAGE_TYPES[int(kind)]
    assert (fact["fingerprint"], fact["client_software"], fact["client_name"]) == (requested, vendor, host)
    assert fact["client_mac"] in macs.split(",")
