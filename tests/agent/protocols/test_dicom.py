from __future__ import annotations

import random
import shutil
import struct
import subprocess
from collections import Counter
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.protocols.dicom import Dicom
from nigrani.stream.events.dicom import DicomAssociation

DATA = Path(__file__).parents[2] / "data"
CAPTURES = sorted((DATA / "dicom").glob("*.pcap"))
FIELDS = {field.name for field in msgspec.structs.fields(DicomAssociation)}
CT = "1.2.840.10008.5.1.4.1.1.2"
STUDY_MOVE = "1.2.840.10008.5.1.4.1.2.2.2"

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


def feed(parser: Dicom, segments: Segments, snap: int = 1 << 30) -> Facts:
    """Play the meter: leave out what the parser passes over, and cut what is longer than the snap length."""
    skip = [0, 0]
    for direction, payload in segments:
        shown = payload[skip[direction] :]
        captured = payload[:snap][skip[direction] :]
        skip[direction] = max(skip[direction] - len(payload), 0)
        if captured:
            skip[direction] = parser.data(direction, captured, len(shown), 1)
        elif shown:
            parser.gap(direction)
    return facts(parser)


def facts(parser: Dicom) -> Facts:
    """Everything told, repeats counted in, in the order of the first of each kind."""
    counts: Counter[tuple[tuple[str, object], ...]] = Counter()
    for fact in parser.fresh + parser.cut():
        assert fact.dataset == "dicom.association"
        assert FIELDS.issuperset(fact.fields)
        assert fact.sums is None
        counts[tuple(fact.fields.items())] += fact.count
    parser.fresh = []
    return [dict(fields, count=count) for fields, count in counts.items()]


def actions(told: Facts) -> list[object]:
    return [fact["action"] for fact in told]


def pdu(kind: int, body: bytes) -> bytes:
    return struct.pack(">BxI", kind, len(body)) + body


def item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(body)) + body


def negotiation(kind: int, *items: bytes, called: bytes = b"PACS", calling: bytes = b"CT1", version: int = 1) -> bytes:
    fixed = struct.pack(">H2x", version) + called.ljust(16) + calling.ljust(16) + bytes(32)
    return pdu(kind, fixed + item(0x10, b"1.2.840.10008.3.1.1.1") + b"".join(items))


def proposal(number: int, abstract: str) -> bytes:
    syntaxes = item(0x30, abstract.encode()) + item(0x40, b"1.2.840.10008.1.2") + item(0x40, b"1.2.840.10008.1.2.1")
    return item(0x20, bytes([number, 0, 0, 0]) + syntaxes)


def answer(number: int, result: int) -> bytes:
    return item(0x21, bytes([number, 0, result, 0]) + item(0x40, b"1.2.840.10008.1.2"))


def user_information(uid: bytes = b"1.2.3.4", version: bytes = b"TESTED_1") -> bytes:
    return item(0x50, item(0x51, struct.pack(">I", 16384)) + item(0x52, uid) + item(0x55, version))


def command(field: int, **elements: bytes) -> bytes:
    tags = {
        "affected": 0x0002, "requested": 0x0003, "field": 0x0100, "number": 0x0110, "destination": 0x0600,
        "priority": 0x0700, "data_set": 0x0800, "status": 0x0900, "instance": 0x1000,
    }  # fmt: skip
    values = {"field": struct.pack("<H", field), "number": b"\1\0", "data_set": b"\1\1", **elements}
    return b"".join(
        struct.pack("<HHI", 0, tag, len(values[name])) + values[name] for name, tag in tags.items() if name in values
    )


def value(control: int, fragment: bytes) -> bytes:
    return struct.pack(">IBB", len(fragment) + 2, 1, control) + fragment


def data(*values: bytes) -> bytes:
    return pdu(4, b"".join(values))


RQ = negotiation(1, proposal(1, CT), proposal(3, STUDY_MOVE), user_information())
AC = negotiation(2, answer(1, 0), answer(3, 4), user_information(b"1.2.3.5", b"OTHER_2"))
STORE = command(0x0001, affected=CT.encode() + b"\0", instance=b"1.2.3.4.5.6.7\0", data_set=b"\1\0")
STORED = command(0x8001, affected=CT.encode() + b"\0", status=b"\0\0")
RELEASE, RELEASED = pdu(5, bytes(4)), pdu(6, bytes(4))
ASSOCIATION: Segments = [
    (0, RQ),
    (1, AC),
    (0, data(value(3, STORE)) + data(value(0, b"DOE^JOHN" * 300)) + data(value(2, b"DOE^JOHN" * 9))),
    (1, data(value(3, STORED))),
    (0, RELEASE),
    (1, RELEASED),
]
ENDS = {"calling_ae": "CT1", "called_ae": "PACS"}
TOLD: Facts = [
    {
        "action": "associate-rq",
        **ENDS,
        "contexts": 2,
        "abstract_syntaxes": (CT, STUDY_MOVE),
        "implementation_uid": "1.2.3.4",
        "implementation_version": "TESTED_1",
        "count": 1,
    },
    {
        "action": "associate",
        **ENDS,
        "contexts": 1,
        "implementation_uid": "1.2.3.5",
        "implementation_version": "OTHER_2",
        "count": 1,
    },
    {"action": "c-store", **ENDS, "sop_class": CT, "count": 1},
    {"action": "c-store-rsp", **ENDS, "sop_class": CT, "status": "0000", "count": 1},
    {"action": "release", **ENDS, "count": 1},
]


def test_an_association_is_told_act_by_act() -> None:
    assert feed(Dicom(), ASSOCIATION) == TOLD


def test_no_byte_of_a_data_set_is_told() -> None:
    assert "DOE" not in repr(feed(Dicom(), ASSOCIATION))


def test_data_is_passed_over() -> None:
    parser = Dicom()
    assert parser.data(0, data(value(3, STORE)) + data(value(0, bytes(100_000)))[:500], 2000, 1) > 90_000
    assert parser.data(1, RQ[:60], 60, 1) == 0


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda capture: capture.stem)
def test_captures_split_anywhere_tell_the_same(capture: Path) -> None:
    for segments in conversations(capture)[:2]:
        whole = feed(Dicom(), segments)
        assert whole
        bytewise = [(way, payload[at : at + 7]) for way, payload in segments for at in range(0, len(payload), 7)]
        assert feed(Dicom(), bytewise) == whole


def test_split_at_every_byte() -> None:
    for number, (way, payload) in enumerate(ASSOCIATION):
        for at in range(1, len(payload)):
            halves = [(way, payload[:at]), (way, payload[at:])]
            assert feed(Dicom(), ASSOCIATION[:number] + halves + ASSOCIATION[number + 1 :]) == TOLD


@pytest.mark.parametrize(
    ("capture", "expected"),
    [
        ("a01_assoc_reject_wrong_called_ae", ["associate-rq", "reject"]),
        ("a06_assoc_abort", ["associate-rq", "associate", "c-echo", "c-echo-rsp", "abort"]),
        ("b04_cfind_study", ["associate-rq", "associate", "c-find", "c-find-rsp", "c-find-rsp", "release"]),
        ("b05_cmove_one", ["associate-rq", "associate", "c-move", "c-move-rsp", "release"]),
    ],
)
@pytest.mark.parametrize("snap", [1 << 30, 200])
def test_captures(capture: str, expected: list[str], snap: int) -> None:
    told = feed(Dicom(), conversations(DATA / "dicom" / f"{capture}.pcap")[0], snap)
    kept = [action for action, following in pairwise([*expected, ""]) if snap > 200 or action != following]
    assert actions(told) == kept
    assert all(fact["calling_ae"] and fact["called_ae"] for fact in told)


def test_a_store_of_large_images_cut_by_the_snap_length() -> None:
    told = feed(Dicom(), conversations(DATA / "dicom" / "b05_cmove_one.pcap")[1], 200)
    assert actions(told) == ["associate-rq", "associate", "c-store", "c-store-rsp", "release"]
    assert "contexts" not in told[0]  # some were not seen
    assert told[2]["sop_class"] == CT
    assert told[3]["status"] == "0000"


def test_reject_and_abort() -> None:
    told = feed(Dicom(), [(0, RQ), (1, pdu(3, bytes([0, 1, 2, 1]))), (1, pdu(7, bytes([0, 0, 2, 6])))])
    assert told[1:] == [
        {"action": "reject", **ENDS, "reject_result": 1, "reject_source": 2, "reject_reason": 1, "count": 1},
        {"action": "abort", **ENDS, "abort_source": 2, "count": 1},
    ]


@pytest.mark.parametrize(
    ("field", "action"),
    [
        (0x0001, "c-store"),
        (0x0010, "c-get"),
        (0x0020, "c-find"),
        (0x0021, "c-move"),
        (0x0030, "c-echo"),
        (0x0100, "n-event-report"),
        (0x0110, "n-get"),
        (0x0120, "n-set"),
        (0x0130, "n-action"),
        (0x0140, "n-create"),
        (0x0150, "n-delete"),
        (0x0FFF, "c-cancel"),
        (0x0777, "other"),
    ],
)
def test_commands(field: int, action: str) -> None:
    request = data(value(3, command(field, affected=b"1.2.3\0")))
    response = data(value(3, command(field | 0x8000, requested=b"1.2.3\0", status=b"\x00\xff")))
    assert feed(Dicom(), [(0, request), (1, response), (1, response)]) == [
        {"action": action, "sop_class": "1.2.3", "count": 1},
        {"action": f"{action}-rsp", "sop_class": "1.2.3", "status": "FF00", "count": 2},
    ]


def test_a_move_names_its_destination() -> None:
    move = command(0x0021, affected=STUDY_MOVE.encode() + b"\0", destination=b"EVIL\x01AE  ")
    told = feed(Dicom(), [(0, data(value(3, move)))])
    assert told == [{"action": "c-move", "sop_class": STUDY_MOVE, "move_destination": "EVIL?AE", "count": 1}]


def test_a_command_in_fragments_over_values_and_pdus() -> None:
    fragments = [STORE[at : at + 11] for at in range(0, len(STORE), 11)]
    values = [value(1, fragment) for fragment in fragments[:-1]] + [value(3, fragments[-1])]
    stream = data(*values[:3]) + b"".join(data(one) for one in values[3:-1]) + data(values[-1], value(2, b"pixels"))
    assert feed(Dicom(), [(0, RQ), (0, stream)])[1:] == TOLD[2:3]


def test_a_command_without_end_is_not_kept() -> None:
    parser = Dicom()
    endless = data(value(1, command(0x0020, affected=b"1.2.3\0") + bytes(8) * 400))
    last = data(value(3, bytes(8)))
    assert actions(feed(parser, [(0, endless)] * 50 + [(0, last)])) == ["c-find"]


def test_a_cut_command_tells_what_was_captured() -> None:
    parser = Dicom()
    packet = data(value(3, command(0x8020, affected=b"1.2.3\0", status=b"\x22\x01")))
    parser.data(1, packet[:50], len(packet), 1)
    assert facts(parser) == [{"action": "c-find-rsp", "sop_class": "1.2.3", "count": 1}]


def test_hostile_names_are_made_harmless() -> None:
    hostile = negotiation(
        1,
        proposal(1, "../etc"),
        user_information(b"x" * 70, b"\xff\0\x07v"),
        called=b"A\r\n\x1b[31m",
        calling=b"\0" * 16,
    )
    assert feed(Dicom(), [(0, hostile)]) == [
        {
            "action": "associate-rq",
            "called_ae": "A???[31m",
            "contexts": 1,
            "abstract_syntaxes": ("other",),
            "implementation_version": "??v",
            "count": 1,
        }
    ]


def test_a_broken_negotiation_is_told_without_its_count() -> None:
    told = feed(Dicom(), [(0, negotiation(1, proposal(1, CT), b"\x20\0\xff\xff") + bytes(3)), (1, AC)])
    assert actions(told) == ["associate-rq", "associate"]
    assert told[0]["abstract_syntaxes"] == (CT,)
    assert "contexts" not in told[0]


def test_many_contexts_are_counted_and_few_kept() -> None:
    proposals = [proposal(1, f"1.2.{number // 2}") for number in range(128)]
    (told,) = feed(Dicom(), [(0, negotiation(1, *proposals, user_information()))])
    assert told["contexts"] == 128
    assert told["abstract_syntaxes"] == tuple(f"1.2.{number}" for number in range(16))
    assert told["implementation_version"] == "TESTED_1"


def test_the_answer_names_both_where_the_request_was_not_seen() -> None:
    assert feed(Dicom(), ASSOCIATION[1:]) == TOLD[1:]


def test_joined_in_the_middle() -> None:
    parser = Dicom()
    assert feed(parser, [(0, b"pixels" * 200), (1, b"\0" * 90), *ASSOCIATION[3:], ASSOCIATION[2]]) == [
        {"action": "c-store-rsp", "sop_class": CT, "status": "0000", "count": 1},
        {"action": "release", "count": 1},
        {"action": "c-store", "sop_class": CT, "count": 1},
    ]


def test_a_gap_is_overcome_at_the_next_pdu() -> None:
    parser = Dicom()
    feed(parser, ASSOCIATION[:2])
    parser.data(0, ASSOCIATION[2][1][:300], 300, 1)
    parser.gap(0)
    for _ in range(100):
        assert parser.data(0, b"DOE^JOHN" * 100, 800, 1) == 0
    assert actions(feed(parser, ASSOCIATION[2:])) == ["c-store", "c-store-rsp", "release"]


def test_garbage_is_borne_for_some_segments() -> None:
    parser = Dicom()
    feed(parser, [*ASSOCIATION[:2], (0, b"\xff" * 100), (0, b"\xff" * 100)])
    assert actions(feed(parser, ASSOCIATION[2:3])) == ["c-store"]
    with pytest.raises(ValueError, match="no PDU"):
        feed(parser, [(0, b"\xff" * 100)] * 10)


@pytest.mark.parametrize("length", [0, 3, 5, 0x7FFFFFFF, 0xFFFFFFFF])
@pytest.mark.parametrize("kind", range(9))
def test_lengths_that_lie_are_refused(kind: int, length: int) -> None:
    parser = Dicom()
    header = struct.pack(">BxI", kind, length)
    assert not Dicom.looks_like(header + bytes(10), 104, 104)
    parser.data(0, header, 6, 1)
    assert actions(feed(parser, ASSOCIATION[:1])) == ["associate-rq"]  # out of step, and in step again


FIRST_PAYLOADS = [line.split("\t") for line in (DATA / "first_payloads.txt").read_text().splitlines()[1:]]


@pytest.mark.parametrize(("protocol", "payload"), FIRST_PAYLOADS)
def test_only_dicom_looks_like_it(protocol: str, payload: str) -> None:
    assert Dicom.looks_like(bytes.fromhex(payload), 104, 11112) == (protocol == "dicom")


def test_every_segment_that_begins_with_a_pdu_looks_like_it() -> None:
    for payload in (RQ, AC, RQ[:60], data(value(3, STORE)), RELEASE, RELEASED, pdu(3, b"\0\1\1\1"), pdu(7, bytes(4))):
        assert Dicom.looks_like(payload, 50_000, 6661)
    assert not any(Dicom.looks_like(RQ[:size], 104, 104) for size in range(10))


def test_random_bytes_do_not_look_like_it() -> None:
    chance = random.Random(1)
    assert not any(Dicom.looks_like(chance.randbytes(64), 104, 104) for _ in range(20_000))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0, 1]), st.binary(min_size=1, max_size=300), st.integers(0, 2000))))
def test_random_bytes_give_a_value_or_value_error(segments: list[tuple[int, bytes, int]]) -> None:
    parser = Dicom()
    try:
        for direction, payload, beyond in segments:
            assert parser.data(direction, payload, len(payload) + beyond, 1) >= 0
    except ValueError:
        pass
    facts(parser)


@settings(max_examples=250, deadline=None)
@given(st.data())
def test_mutated_associations_give_a_value_or_value_error(draw: st.DataObject) -> None:
    parser = Dicom()
    try:
        for direction, payload in ASSOCIATION * 2:
            changed = bytearray(payload)
            for at in draw.draw(st.lists(st.integers(0, len(payload) - 1), max_size=4)):
                changed[at] = draw.draw(st.integers(0, 255))
            captured = bytes(changed[: draw.draw(st.integers(1, len(payload)))])
            assert parser.data(direction, captured, draw.draw(st.sampled_from([len(captured), len(payload)])), 1) >= 0
    except ValueError:
        pass
    for fact in facts(parser):
        assert len(repr(fact)) < 2500


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
@pytest.mark.parametrize("capture", CAPTURES, ids=lambda capture: capture.stem)
def test_tshark_sees_the_same(capture: Path) -> None:
    """Called and calling AE titles of each negotiation, and the DIMSE commands, conversation by conversation."""
    run = subprocess.run(["tshark", "-r", str(capture), "-V"], capture_output=True, text=True, check=True)
    theirs: dict[int, Counter[str]] = {}
    counts: Counter[str] = Counter()
    for line in run.stdout.splitlines():
        if "[Stream index: " in line:
            counts = theirs.setdefault(int(line.strip(" []").split()[-1]), Counter())
        elif "(0000,0100)" in line:
            counts[line.split()[-1].lower().removesuffix("-rq")] += 1
        elif "AE Title: " in line:
            counts[line.split(": ", 1)[1].strip()] += 1
    for stream, segments in enumerate(conversations(capture)):
        ours: Counter[str] = Counter()
        for fact in feed(Dicom(), segments):
            if fact["action"] in {"associate-rq", "associate"}:
                ours.update((str(fact["calling_ae"]), str(fact["called_ae"])))
            elif fact["action"] not in {"reject", "release", "abort"}:
                ours[str(fact["action"])] += int(str(fact["count"]))
        assert ours == theirs[stream]
