from __future__ import annotations

import random
import shutil
import struct
import subprocess
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.protocols.hl7 import Hl7
from nigrani.stream.events.hl7 import Hl7Message

DATA = Path(__file__).parents[2] / "data"
CAPTURES = sorted((DATA / "hl7").glob("*.pcap"))
FIRST_PAYLOADS = [line.split("\t") for line in (DATA / "first_payloads.txt").read_text().splitlines()[1:]]
FIELDS = {field.name for field in msgspec.structs.fields(Hl7Message)}
PID = b"PID|1||0d70c6c8^^^MRN||DOE^JOHN||19630306|M\r"

Segments = list[tuple[int, bytes]]
Facts = list[dict[str, object]]


def conversations(capture: Path) -> list[Segments]:
    """The TCP payloads of each conversation, in order: a loopback capture has no losses and no retransmissions."""
    data = capture.read_bytes()
    found: dict[frozenset[bytes], tuple[bytes, Segments]] = {}
    at = 24
    while at < len(data):
        size = struct.unpack_from("<I", data, at + 8)[0]
        packet = data[at + 16 + 14 : at + 16 + size]
        at += 16 + size
        tcp = (packet[0] & 15) * 4
        payload = packet[tcp + (packet[tcp + 12] >> 4) * 4 : int.from_bytes(packet[2:4])]
        source = packet[12:16] + packet[tcp : tcp + 2]
        target = packet[16:20] + packet[tcp + 2 : tcp + 4]
        originator, segments = found.setdefault(frozenset((source, target)), (source, []))
        if payload:
            segments.append((int(source != originator), payload))
    return [segments for _, segments in found.values()]


def feed(parser: Hl7, segments: Segments, snap: int = 1 << 30) -> Facts:
    for direction, payload in segments:
        assert parser.data(direction, payload[:snap], len(payload), 1) == 0
    return facts(parser)


def facts(parser: Hl7) -> Facts:
    """Everything told, repeats and sizes added up, in the order of the first of each kind."""
    counts: Counter[tuple[tuple[str, object], ...]] = Counter()
    sizes: Counter[tuple[tuple[str, object], ...]] = Counter()
    for fact in parser.fresh + parser.cut():
        assert fact.dataset == "hl7.message"
        assert FIELDS.issuperset({*fact.fields, *(fact.sums or {})})
        kind = tuple(fact.fields.items())
        counts[kind] += fact.count
        sizes[kind] += (fact.sums or {}).get("size", 0)
    parser.fresh = []
    return [dict(kind, size=sizes[kind], count=count) for kind, count in counts.items()]


def framed(message: bytes) -> bytes:
    return b"\x0b" + message + b"\x1c\r"


ORU = framed(b"MSH|^~\\&|LAB^1.2^ISO|H|EHR^9|H|20240101||ORU^R01^ORU_R01|77|P|2.5.1^DEU\r" + PID)
ACK = framed(b"MSH|^~\\&|EHR|H|LAB|H|20240101||ACK^R01^ACK|78|P|2.5.1\rMSA|AA|77\r")
TOLD: Facts = [
    {
        "direction": "request",
        "code": "ORU",
        "trigger": "R01",
        "version": "2.5.1",
        "sending_application": "LAB",
        "receiving_application": "EHR",
        "size": len(ORU),
        "count": 1,
    },
    {
        "direction": "response",
        "code": "ACK",
        "trigger": "R01",
        "version": "2.5.1",
        "ack": "AA",
        "sending_application": "EHR",
        "receiving_application": "LAB",
        "size": len(ACK),
        "count": 1,
    },
]


def one(message: bytes, direction: int = 0) -> dict[str, object]:
    (told,) = feed(Hl7(), [(direction, message)])
    return told


def test_a_message_and_its_answer() -> None:
    assert feed(Hl7(), [(0, ORU), (1, ACK)]) == TOLD


def test_no_byte_of_a_patient_is_told() -> None:
    assert "DOE" not in repr(feed(Hl7(), [(0, ORU), (1, ACK)]))


def test_the_first_of_a_kind_leaves_at_once_and_repeats_as_a_sum() -> None:
    parser = Hl7()
    feed(parser, [(0, ORU)])
    parser.data(0, ORU, len(ORU), 1)
    assert [fact.count for fact in parser.fresh] == [1]
    parser.data(0, ORU * 3, len(ORU) * 3, 2)
    (rest,) = parser.cut()
    assert (rest.count, rest.sums, rest.when) == (3, {"size": 3 * len(ORU)}, 2)
    assert len(parser.fresh) == 1


@pytest.mark.parametrize(
    ("separators", "field", "component"),
    [("|^~\\&", "|", "^"), ("|^~\\&#", "|", "^"), ("#*~\\&", "#", "*"), ("!@", "!", "@"), ("$%~{}", "$", "%")],
)
def test_separators_are_the_messages_own(separators: str, field: str, component: str) -> None:
    fields = [f"MSH{separators}", f"APP{component}1", "F", "REC", "F", "", "", f"ADT{component}A01", "1", "P", "2.7"]
    message = framed(field.join(fields).encode() + b"\r" + PID)
    assert Hl7.looks_like(message, 50_000, 6661)
    told = one(message)
    assert (told["code"], told["trigger"], told["version"]) == ("ADT", "A01", "2.7")
    assert (told["sending_application"], told["receiving_application"]) == ("APP", "REC")


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (b"MSH|^~\\&|A|B|C|D|||adt^a01|1|P|2.3", {"code": "ADT", "trigger": "A01", "version": "2.3"}),
        (b"MSH|^~\\&|A|B|C|D|||ORU|1|P|2.1\r", {"code": "ORU", "version": "2.1"}),
        (b"MSH|^~\\&|A|B|C|D|||ADT^A01\r" + PID, {"code": "ADT", "trigger": "A01"}),
        (b"MSH|^~\\&|A|B|C|D|||ADT'; DROP^A01|1|P|2.3 beta", {"code": "other", "trigger": "A01", "version": "other"}),
        (b"MSH|^~\\&|A|B|C|D|||TOOLONGCODE^A01|1|P|2.3", {"code": "other", "trigger": "A01", "version": "2.3"}),
        (b"MSH|^~\\&|A|B|C|D|||ORL|1|P|2.5\nMSA|AE|1\n", {"code": "ORL", "version": "2.5", "ack": "AE"}),
        (b"MSH|^~\\&|A|B|C|D|||RSP|1|P|2.6\rSFT|x\rUAC|y\rMSA|AR|1\r", {"code": "RSP", "version": "2.6", "ack": "AR"}),
        (b"MSH|^~\\&|A|B|C|D|||ACK|1|P|2.6\r\nMSA|CA|1\r\n", {"code": "ACK", "version": "2.6", "ack": "CA"}),
        (b"MSH|^~\\&|A|B|C|D|||ACK|1|P|2.6\rMSA|DOE|1\r", {"code": "ACK", "version": "2.6"}),
        (b"MSH|^~\\&|A|B|C|D|||ADT|1|P|2.6\rPID|1\rMSA|AA\r", {"code": "ADT", "version": "2.6"}),
        (b"FHS|^~\\&|A\rBHS|^~\\&|A\rMSH|^~\\&|A|B|C|D|||ADT|1|P|2.6\r", {"code": "ADT", "version": "2.6"}),
    ],
)  # fmt: skip
def test_headers(message: bytes, expected: dict[str, object]) -> None:
    told = one(framed(message))
    told.pop("size")
    ends = {"sending_application": "A", "receiving_application": "C"}
    assert told == {"direction": "request", **expected, **ends, "count": 1}


def test_an_application_name_is_made_harmless() -> None:
    name = "Überwachung".encode() + b"\x01\x1b\xff"
    told = one(framed(b"MSH|^~\\&|" + name + b"|F|" + b"x" * 100 + b"||||ADT^A01|1|P|2.5\r"))
    assert told["sending_application"] == "Überwachung??�"
    assert told["receiving_application"] == "x" * 64


@pytest.mark.parametrize(("byte", "ack"), [(b"\x06", "CA"), (b"\x15", "CR")])
def test_commit_acknowledgements_of_the_transport(byte: bytes, ack: str) -> None:
    assert Hl7.looks_like(framed(byte), 2575, 50_000)
    assert one(framed(byte), 1) == {"direction": "response", "ack": ack, "size": 4, "count": 1}


def test_without_the_last_carriage_return() -> None:
    (told,) = feed(Hl7(), [(0, ORU[:-1] + ORU[:-1]), (0, ORU[:-1])])
    assert (told["count"], told["size"]) == (3, 3 * len(ORU))


def test_split_at_every_byte() -> None:
    stream = ORU + ACK + ORU
    whole = feed(Hl7(), [(0, stream), (1, ACK)])
    assert [fact["count"] for fact in whole] == [2, 1, 1]
    for at in range(1, len(stream)):
        assert feed(Hl7(), [(0, stream[:at]), (0, stream[at:]), (1, ACK)]) == whole


def test_byte_by_byte() -> None:
    bytewise = [(0, bytes([byte])) for byte in ORU] + [(1, bytes([byte])) for byte in ACK]
    assert feed(Hl7(), bytewise) == TOLD


def test_a_long_message_is_counted_to_its_end() -> None:
    long = framed(ORU[1:-2] + b"OBX|1|ED|||" + b"QUJD" * 100_000)
    segments = [(0, long[at : at + 1448]) for at in range(0, len(long), 1448)]
    parser = Hl7()
    (told,) = feed(parser, segments)
    assert (told["code"], told["size"], told["count"]) == ("ORU", len(long), 1)


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda capture: capture.stem)
def test_captures_cut_by_the_snap_length_tell_the_same(capture: Path) -> None:
    for segments in conversations(capture):
        whole = feed(Hl7(), segments)
        assert whole
        assert feed(Hl7(), segments, 200) == whole
        pieces = [(way, payload[at : at + 9]) for way, payload in segments for at in range(0, len(payload), 9)]
        assert feed(Hl7(), pieces) == whole


def test_what_the_snap_length_cut_ends_with_the_next_start_the_answer_or_the_minute() -> None:
    parser = Hl7()
    for direction, size in ((0, 5000), (0, 5000), (0, 700), (1, 300)):
        parser.data(direction, ORU[:100], size, 1)
    assert parser.fresh[0].sums == {"size": 5000}
    late = parser.cut()
    assert [(fact.count, fact.sums) for fact in late] == [(1, {"size": 300}), (2, {"size": 5700})]
    parser = Hl7()
    parser.data(0, ORU[:100], 1400, 1)
    parser.data(0, b"OBX|1|ED|||QUJD", 1400, 1)
    parser.data(0, b"QUJD\x1c\r" + ORU, 6 + len(ORU), 1)
    (told,) = facts(parser)
    assert (told["count"], told["size"]) == (2, 2806 + len(ORU))


def test_a_header_cut_within_a_field_tells_no_part_of_it() -> None:
    parser = Hl7()
    parser.data(0, ORU[: ORU.index(b"R01") + 1], 900, 1)
    (told,) = facts(parser)
    ends = {"sending_application": "LAB", "receiving_application": "EHR"}
    assert told == {"direction": "request", **ends, "size": 900, "count": 1}


def test_joined_in_the_middle() -> None:
    middle = PID * 20
    assert feed(Hl7(), [(0, middle)] * 50 + [(0, middle + b"\x1c\r" + ORU), (1, ACK)]) == TOLD


def test_a_gap_is_overcome_at_the_next_message() -> None:
    parser = Hl7()
    feed(parser, [(0, ORU), (0, ORU[:90])])
    parser.gap(0)
    (told,) = feed(parser, [(0, PID * 5), (0, PID + b"\x1c\r" + ORU)])
    assert told["count"] == 2


def test_garbage_is_borne_for_some_segments() -> None:
    parser = Hl7()
    feed(parser, [(0, ORU), (0, b"\xff" * 100), (0, b"\r\n\r\n"), (0, b"\x0bnonsense")])
    (told,) = feed(parser, [(0, b"junk" + ORU)])
    assert told["count"] == 1
    with pytest.raises(ValueError, match="no message"):
        feed(parser, [(0, b"\xff" * 100)] * 10)


def test_a_header_may_end_behind_any_separator() -> None:
    whole = b"MSH|^~\\&|A|B|C|D|E|F|ORU^R01|H|I|2.5|"
    for size in range(4, len(whole) + 1):
        (told,) = feed(Hl7(), [(0, b"\x0b" + whole[:size] + b"\r\x1c\r")])
        parts = [*whole[:size].decode().split("|"), *[""] * 12]
        found = [told.get(name, "") for name in ("sending_application", "receiving_application", "code", "version")]
        assert found == [parts[2], parts[4], parts[8].partition("^")[0], parts[11]]
    parser = Hl7()
    parser.data(0, b"\x0bMSH|", 900, 1)
    assert [fact.fields for fact in parser.cut() or parser.fresh] == [{"direction": "request"}]


def test_the_end_of_a_minute_bears_what_is_no_message() -> None:
    parser = Hl7()
    feed(parser, [(0, ORU), *[(0, b"\xff" * 100)] * 8])
    parser.data(0, b"\x0bMS", 900, 1)
    assert parser.cut() == []


def test_memory_is_bounded() -> None:
    parser = Hl7()
    for number in range(1000):
        message = framed(b"MSH|^~\\&|%d|" % number + b"x" * 2000)
        parser.data(0, message, len(message), 1)
        parser.data(1, b"\x0bMSH|^~\\&|", 10, 1)
        parser.data(1, b"y" * 5000, 5000, 1)
    assert len(parser._kinds) <= 16
    assert len(parser.fresh) <= 64
    assert parser.overflow > 900


@pytest.mark.parametrize(("protocol", "payload"), FIRST_PAYLOADS)
def test_only_hl7_looks_like_it(protocol: str, payload: str) -> None:
    assert Hl7.looks_like(bytes.fromhex(payload), 2575, 2575) == (protocol == "hl7")


def test_random_bytes_do_not_look_like_it() -> None:
    chance = random.Random(1)
    assert not any(Hl7.looks_like(b"\x0b" + chance.randbytes(64), 2575, 2575) for _ in range(20_000))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0, 1]), st.binary(min_size=1, max_size=200), st.integers(0, 2000))))
def test_random_bytes_give_a_value_or_value_error(segments: list[tuple[int, bytes, int]]) -> None:
    parser = Hl7()
    try:
        for direction, payload, beyond in segments:
            assert parser.data(direction, b"\x0bMSH|" + payload, len(payload) + 5 + beyond, 1) == 0
            assert parser.data(direction, payload, len(payload), 1) == 0
    except ValueError:
        pass
    facts(parser)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_mutated_messages_give_a_value_or_value_error(draw: st.DataObject) -> None:
    parser = Hl7()
    try:
        for direction, payload in [(0, ORU), (1, ACK)] * 3:
            changed = bytearray(payload)
            for at in draw.draw(st.lists(st.integers(0, len(payload) - 1), max_size=6)):
                changed[at] = draw.draw(st.sampled_from(b"\x0b\x1c\r\n|^~\\&\x00\xffMSHA"))
            captured = bytes(changed[: draw.draw(st.integers(1, len(payload)))])
            parser.data(direction, captured, draw.draw(st.sampled_from([len(captured), len(payload)])), 1)
            if draw.draw(st.booleans()):
                parser.gap(direction)
    except ValueError:
        pass
    for fact in facts(parser):
        assert len(repr(fact)) < 500


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
@pytest.mark.parametrize("capture", CAPTURES, ids=lambda capture: capture.stem)
def test_tshark_sees_the_same(capture: Path) -> None:
    """Types and triggers of the messages, conversation by conversation."""
    columns = ["-e", "tcp.stream", "-e", "hl7.message.type", "-e", "hl7.event.type"]
    run = ["tshark", "-r", str(capture), "-d", "tcp.port==12575,hl7", "-Y", "hl7", "-T", "fields", *columns]
    theirs: dict[int, Counter[tuple[str, str]]] = {}
    for line in subprocess.run(run, capture_output=True, text=True, check=True).stdout.splitlines():
        number, codes, triggers = line.split("\t")
        theirs.setdefault(int(number), Counter()).update(zip(codes.split(","), triggers.split(","), strict=True))
    for stream, segments in enumerate(conversations(capture)):
        ours: Counter[tuple[str, str]] = Counter()
        for fact in feed(Hl7(), segments):
            ours[str(fact["code"]), str(fact["trigger"])] += int(str(fact["count"]))
        assert ours == theirs[stream]
