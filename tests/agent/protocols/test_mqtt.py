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
from agent.protocols.mqtt import Mqtt
from nigrani.stream.events.session import NetworkSession

FIELDS = {field.name for field in msgspec.structs.fields(NetworkSession)}


def text(value: str) -> bytes:
    return struct.pack(">H", len(value.encode())) + value.encode()


def packet(first: int, body: bytes) -> bytes:
    size, rest = len(body), b""
    while True:
        size, low = divmod(size, 128)
        rest += bytes((low | (0x80 if size else 0),))
        if not size:
            return bytes((first,)) + rest + body


def connect(
    level: int = 4, *, client: str = "pump-17", user: str = "", password: str = "", will: tuple[str, str] | None = None
) -> bytes:
    flags = 0x02 | (0x80 if user else 0) | (0x40 if password else 0) | (0x04 if will else 0)
    properties = b"\5\x11\0\0\1\0" if level == 5 else b""
    body = text("MQIsdp" if level == 3 else "MQTT") + bytes((level, flags)) + b"\0\x3c" + properties + text(client)
    if will:
        body += (b"\0" if level == 5 else b"") + text(will[0]) + text(will[1])
    return packet(0x10, body + (text(user) if user else b"") + (text(password) if password else b""))


def publish(topic: str, size: int, quality: int = 0) -> bytes:
    return packet(0x30 | quality << 1, text(topic) + (b"\0\1" if quality else b"") + bytes(size))


ACCEPTED, SUBSCRIBE = packet(0x20, b"\0\0"), packet(0x82, b"\0\1" + text("ward/7/#") + b"\1")


def feed(parser: Mqtt, direction: int, pieces: list[bytes]) -> None:
    """As the meter does it: what the parser does not want is left out."""
    skip = 0
    for piece in pieces:
        if skip < len(piece):
            skip = parser.data(direction, piece[skip:], len(piece) - skip, 1)
        else:
            skip -= len(piece)


def rows(facts: list[Fact]) -> list[dict[str, object]]:
    told = [{**fact.fields, **(fact.sums or {}), "count": fact.count} for fact in facts]
    for fact in told:
        assert fact.pop("protocol") == "mqtt"
        if fact["count"] == 1:
            del fact["count"]
        assert (FIELDS | {"count"}).issuperset(fact)
    return told


def told(*pieces: tuple[int, bytes]) -> list[dict[str, object]]:
    parser = Mqtt()
    for direction, payload in pieces:
        feed(parser, direction, [payload])
    return rows(parser.fresh + parser.cut())


@pytest.mark.parametrize(("level", "version"), [(3, "3.1"), (4, "3.1.1"), (5, "5.0")])
@pytest.mark.parametrize("will", [None, ("lost/pump", "gone")])
def test_connection(level: int, version: str, will: tuple[str, str] | None) -> None:
    answer = packet(0x20, b"\0\0" + (b"\0" if level == 5 else b""))
    assert told((0, connect(level, user="icu", password="x", will=will)), (1, answer)) == [
        {"action": "CONNECT", "version": version, "client_name": "pump-17", "user": "icu", "outcome": "success"}
    ]


def test_a_client_may_be_nameless() -> None:
    assert told((0, connect(client="")), (1, ACCEPTED)) == [{"action": "CONNECT", "version": "3.1.1", "outcome": "success"}]


@pytest.mark.parametrize("code", [1, 4, 5, 0x86, 0x87])
def test_refusal(code: int) -> None:
    (fact,) = told((0, connect()), (1, packet(0x20, bytes((0, code)))))
    assert (fact["outcome"], fact["status"]) == ("failure", str(code))


def test_an_unseen_answer_leaves_the_outcome_open() -> None:
    (fact,) = told((0, connect()), (1, packet(0x90, b"\0\1\0")))
    assert "outcome" not in fact


def test_publications_are_summed_and_subscriptions_told() -> None:
    sent = publish("ward/7/hr", 20) + publish("ward/7/spo2", 30, 1) + publish("ward/8/hr", 40, 2)
    assert told((0, SUBSCRIBE), (0, sent), (1, packet(0x40, b"\0\1"))) == [
        {"action": "SUBSCRIBE"},
        {"action": "PUBLISH", "size": 20},
        {"action": "PUBLISH", "size": 70, "count": 2},
    ]


def test_a_large_publication_is_skipped() -> None:
    whole = publish("x", 3_000_000)
    parser = Mqtt()
    assert parser.data(0, whole[:1400], 1400, 1) == len(whole) - 1400
    assert rows(parser.fresh) == [{"action": "PUBLISH", "size": 3_000_000}]


CONVERSATION = connect(5, user="icu") + SUBSCRIBE + publish("a", 200) + packet(0xC0, b"") + publish("b", 700, 1) + ACCEPTED


def test_split_anywhere_tells_the_same() -> None:
    whole = told((0, CONVERSATION))
    assert len(whole) == 4
    for at in range(1, len(CONVERSATION)):
        parser = Mqtt()
        feed(parser, 0, [CONVERSATION[:at], CONVERSATION[at:]])
        assert rows(parser.fresh + parser.cut()) == whole


def test_byte_by_byte_tells_the_same() -> None:
    parser = Mqtt()
    feed(parser, 0, [CONVERSATION[at : at + 1] for at in range(len(CONVERSATION))])
    assert rows(parser.fresh + parser.cut()) == told((0, CONVERSATION))


@pytest.mark.parametrize("kept", [14, 20, 40, 200])
def test_snap_length(kept: int) -> None:
    payload = connect(client="pump-17", user="u" * 300) + publish("a", 50)
    parser = Mqtt()
    assert Mqtt.looks_like(payload[:kept], 40000, 1884)
    parser.data(0, payload[:kept], len(payload), 1)
    parser.data(1, ACCEPTED, 4, 2)
    again = publish("a", 60)
    parser.data(0, again, len(again), 3)
    first, second = rows(parser.fresh)
    assert (first["action"], first["outcome"], "user" in first) == ("CONNECT", "success", False)
    assert first.get("client_name", "pump-17") == "pump-17"
    assert second == {"action": "PUBLISH", "size": 60}


def test_after_a_gap_the_next_packet_counts() -> None:
    parser = Mqtt()
    parser.data(0, connect()[:9], 9, 1)
    parser.gap(0)
    parser.data(0, b"\xf7" * 40, 40, 2)
    feed(parser, 0, [publish("a", 60)])
    assert rows(parser.fresh) == [{"action": "PUBLISH", "size": 60}]


@pytest.mark.parametrize("payload", [connect(), connect(3), connect(5), connect()[:14]])
def test_no_other_protocol_claims_it(payload: bytes) -> None:
    for port in (1883, 8883, 53, 104, 3389):
        assert [one.name for one in PARSERS if "tcp" in one.transports and one.looks_like(payload, 40000, port)] == ["mqtt"]


@pytest.mark.parametrize("payload", [ACCEPTED, SUBSCRIBE, publish("a/b", 9), publish("a", 900)[:200], packet(0xC0, b"")])
def test_the_middle_of_a_conversation_is_known_on_its_port(payload: bytes) -> None:
    assert [one.name for one in PARSERS if "tcp" in one.transports and one.looks_like(payload, 1883, 40000)] == ["mqtt"]
    assert not Mqtt.looks_like(payload, 40000, 40001)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x10",
        b"\x10\x0c\0\4MQTT",
        b"\x10\x0c\0\4MQTT\x09",
        b"\x30\x05\0\1#ab",
        b"\x36\x05\0\1ab",
        b"\x30\xff\xff\xff\xff\x7f",
        b"\xc0",
        b"GET / HTTP/1.1\r\n\r\n",
        b"SSH-2.0-x\r\n",
        bytes(20),
    ],
)
def test_other_bytes_are_not_mqtt(payload: bytes) -> None:
    assert not Mqtt.looks_like(payload, 40000, 1883)


def test_random_bytes_are_not_mqtt() -> None:
    source = random.Random(7)
    assert not any(Mqtt.looks_like(source.randbytes(64), 40000, 40001) for _ in range(20_000))
    assert sum(Mqtt.looks_like(source.randbytes(64), 40000, 1883) for _ in range(20_000)) < 20


@given(st.lists(st.tuples(st.integers(0, 1), st.binary(min_size=1, max_size=300), st.integers(0, 99)), max_size=6))
@settings(max_examples=300, deadline=None)
def test_random_bytes_give_facts_or_value_error(taken: list[tuple[int, bytes, int]]) -> None:
    survive(taken)


@given(st.integers(0, 400), st.binary(max_size=6), st.integers(1, 1100), st.integers(1, 400), st.sampled_from((3, 4, 5)))
@settings(max_examples=300, deadline=None)
def test_mutated_packets_give_facts_or_value_error(at: int, put: bytes, end: int, cut: int, level: int) -> None:
    whole = connect(level, user="icu", will=("a", "b")) + CONVERSATION
    mutated = (whole[:at] + put + whole[at + len(put) :])[:end]
    survive([(0, mutated[:cut], 0), (0, mutated[cut:] or b"\0", 5), (1, ACCEPTED, 0), (1, mutated, 0)])


def survive(taken: list[tuple[int, bytes, int]]) -> None:
    parser = Mqtt()
    try:
        for direction, payload, missing in taken:
            Mqtt.looks_like(payload, 1883, 40000)
            assert parser.data(direction, payload, len(payload) + missing, 1) >= 0
    except ValueError:
        pass
    rows(parser.fresh + parser.cut())


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
@pytest.mark.parametrize("level", [3, 4, 5])
def test_tshark_reads_the_same(tmp_path: Path, level: int) -> None:
    payload = connect(level, user="icu", password="x", will=("lost/pump", "gone"))
    capture = str(tmp_path / "mqtt.pcap")
    dump = f"000000 {payload.hex(' ')}\n"
    subprocess.run(["text2pcap", "-q", "-T", "40000,1883", "-", capture], input=dump, text=True, check=True, timeout=30)
    wanted = [part for name in ("clientid", "username", "ver") for part in ("-e", f"mqtt.{name}")]
    command = ["tshark", "-r", capture, "-T", "fields", *wanted]
    line = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.rstrip("\n")
    (fact,) = told((0, payload), (1, ACCEPTED))
    versions = {"3.1": "3", "3.1.1": "4", "5.0": "5"}
    assert [fact["client_name"], fact["user"], versions[str(fact["version"])]] == line.split("\t")
