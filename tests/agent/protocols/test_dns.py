from __future__ import annotations

import random
import shutil
import struct
import subprocess
from itertools import pairwise
from math import log2
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.protocol import Fact
from agent.protocols import PARSERS
from agent.protocols.dns import RCODES, TYPES, Dns
from nigrani.stream.events.dns import NetworkDns

FIELDS = {field.name for field in msgspec.structs.fields(NetworkDns)}


def labels(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label for label in name.encode("latin-1").split(b".") if label) + b"\0"


def message(name: str, kind: int = 1, *, flags: int = 0x0100, answers: int = 0, number: int = 0xBEEF) -> bytes:
    record = b"\xc0\x0c" + struct.pack(">HHIH4s", 1, 1, 300, 4, b"\x0a\0\0\1")
    head = struct.pack(">6H", number, flags, 1, answers, 0, 0)
    return head + labels(name) + struct.pack(">HH", kind, 1) + record * answers


def stream(*messages: bytes) -> bytes:
    return b"".join(struct.pack(">H", len(one)) + one for one in messages)


def all_facts(parser: Dns) -> list[Fact]:
    facts = parser.fresh + parser.cut()
    for fact in facts:
        assert fact.dataset == "network.dns"
        assert FIELDS.issuperset({*fact.fields, *(fact.sums or {})})
    return facts


def told(*pieces: tuple[int, bytes]) -> list[dict[str, object]]:
    parser = Dns()
    for direction, payload in pieces:
        parser.data(direction, payload, len(payload), 1)
    return [{**fact.fields, **(fact.sums or {})} for fact in all_facts(parser)]


def test_question_and_answer() -> None:
    answer = message("pacs.hospital.example", flags=0x8180, answers=2)
    question, response = told((0, message("PACS.hospital.example")), (1, answer))
    assert question == {
        "question": "pacs.hospital.example",
        "question_type": "A",
        "name_length": 21,
        "labels": 3,
        "longest_label": 8,
        "entropy": 3559,
    }
    assert response == {**question, "rcode": "NOERROR", "answers": 2, "response_bytes": len(answer)}


@pytest.mark.parametrize(
    ("name", "features"),
    [
        ("", {"question": "."}),
        ("a", {"question": "a", "name_length": 1, "labels": 1, "longest_label": 1}),
        ("a1", {"question": "a1", "name_length": 2, "labels": 1, "longest_label": 2, "digits": 1, "entropy": 1000}),
        ("aB.Ab", {"question": "ab.ab", "name_length": 5, "labels": 2, "longest_label": 2, "entropy": 1522}),
        ("\xe4\0", {"question": "\xe4\0", "name_length": 2, "labels": 1, "longest_label": 2, "entropy": 1000}),
    ],
)
def test_features_of_names(name: str, features: dict[str, object]) -> None:
    assert told((0, message(name, 16))) == [{**features, "question_type": "TXT"}]


def test_a_dot_within_a_label_is_escaped() -> None:
    wire = b"\x03a.b\x02cd\0"
    assert told((0, message("x")[:12] + wire + b"\0\1\0\1"))[0]["question"] == "a\\.b.cd"


def test_longest_name() -> None:
    name = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 61])
    assert told((0, message(name)))[0]["name_length"] == 253
    with pytest.raises(ValueError, match="no DNS header"):
        told((0, message(name + "dd")))


@given(st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=63))
@settings(max_examples=100)
def test_entropy_is_shannons(label: str) -> None:
    shares = [label.count(character) / len(label) for character in set(label)]
    expected = -sum(share * log2(share) for share in shares)
    assert abs(told((0, message(label)))[0].get("entropy", 0) - 1000 * expected) <= 0.51


@pytest.mark.parametrize(("kind", "mnemonic"), [(28, "AAAA"), (65, "HTTPS"), (255, "ANY"), (0xFF01, "TYPE65281")])
def test_question_types(kind: int, mnemonic: str) -> None:
    assert told((0, message("x.example", kind)))[0]["question_type"] == mnemonic


@pytest.mark.parametrize("code", range(16))
def test_response_codes(code: int) -> None:
    fact = told((1, message("x.example", flags=0x8180 | code)))[0]
    assert (fact["rcode"], "answers" in fact) == (RCODES[code], False)


def test_multicast_answer_without_question() -> None:
    answer = struct.pack(">6H", 0, 0x8400, 0, 3, 0, 1) + b"\4name\5local\0" + bytes(40)
    assert Dns.looks_like(answer, 5353, 5353)
    assert told((0, answer)) == [{"rcode": "NOERROR", "answers": 3, "response_bytes": len(answer)}]


def test_refusal_that_repeats_nothing() -> None:
    assert told((1, struct.pack(">6H", 7, 0x8005, 0, 0, 0, 0))) == [{"rcode": "REFUSED", "response_bytes": 12}]


def test_a_pointer_ends_the_name() -> None:
    loop = message("x")[:12] + b"\3abc\xc0\x0c\0\1\0\1"
    assert told((0, loop)) == [
        {"question": "abc", "name_length": 3, "labels": 1, "longest_label": 3, "entropy": 1585, "question_type": "A"}
    ]


def test_repeats_are_counted() -> None:
    parser = Dns()
    for number in range(5):
        answer = message("x.example", flags=0x8180, number=number)
        parser.data(1, answer, len(answer), number)
    assert len(parser.fresh) == 1
    (rest,) = parser.cut()
    assert (rest.count, rest.sums) == (4, {"response_bytes": 4 * 27})


def test_a_bad_datagram_does_not_hide_the_next() -> None:
    good = message("x.example")
    bad = b"\xff" * 40
    assert told((0, good), (0, bad), (1, bad), (0, b"\1"), (0, message("y.example"))) == [
        *told((0, good)),
        *told((0, message("y.example"))),
    ]
    with pytest.raises(ValueError, match="no DNS header"):
        Dns().data(0, bad, len(bad), 1)


CONVERSATION = (
    (0, stream(message("x.example", 252))),
    (1, stream(*(message("x.example", 252, flags=0x8480, answers=count) for count in (90, 3)))),
    (0, stream(message("y.example", 16), message("y.example", 28))),
)


def test_stream() -> None:
    facts = told(*CONVERSATION)
    assert [(fact["question_type"], fact.get("rcode"), fact.get("answers")) for fact in facts] == [
        ("AXFR", None, None),
        ("AXFR", "NOERROR", 90),
        ("AXFR", "NOERROR", 3),
        ("TXT", None, None),
        ("AAAA", None, None),
    ]
    assert facts[1]["response_bytes"] == len(message("x.example", 252, answers=90))


@pytest.mark.parametrize("step", [1, 2, 3, 7, 13, 14, 15, 40, 300])
def test_stream_in_pieces_tells_the_same(step: int) -> None:
    parser = Dns()
    for direction, payload in CONVERSATION:
        feed(parser, direction, [payload[at : at + step] for at in range(0, len(payload), step)])
    assert [{**fact.fields, **(fact.sums or {})} for fact in all_facts(parser)] == told(*CONVERSATION)


def test_stream_split_anywhere_tells_the_same() -> None:
    direction, payload = CONVERSATION[1]
    whole = told((direction, payload))
    for at in range(1, len(payload)):
        parser = Dns()
        feed(parser, direction, [payload[:at], payload[at:]])
        assert [{**fact.fields, **(fact.sums or {})} for fact in all_facts(parser)] == whole


def feed(parser: Dns, direction: int, pieces: list[bytes]) -> None:
    """As the meter does it: what the parser does not want is left out."""
    skip = 0
    for piece in pieces:
        if skip < len(piece):
            skip = parser.data(direction, piece[skip:], len(piece) - skip, 1)
        else:
            skip -= len(piece)


def test_after_a_gap_the_next_message_counts() -> None:
    parser = Dns()
    first = stream(message("x.example", flags=0x8180, answers=40))
    parser.data(1, first[:100], 100, 1)
    parser.gap(1)
    parser.data(1, first[300:500], 200, 2)
    again = stream(message("y.example", flags=0x8180))
    parser.data(1, again, len(again), 3)
    assert [fact.fields["question"] for fact in all_facts(parser)] == ["y.example"]


@pytest.mark.parametrize("kept", [30, 60, 96, 200])
def test_snap_length(kept: int) -> None:
    name = ".".join(["0123456789abcdef" * 3] * 5)
    query = message(name, 16)
    assert Dns.looks_like(query[:kept], 40000, 53)
    parser = Dns()
    assert parser.data(0, query[:kept], len(query), 1) == 0
    (fact,) = all_facts(parser)
    assert name.startswith(str(fact.fields["question"]))
    assert fact.fields["longest_label"] == 48
    assert "question_type" not in fact.fields


def test_snap_length_of_a_stream() -> None:
    first, second = stream(message("x.example", flags=0x8180, answers=50)), stream(message("y.example", flags=0x8180))
    parser = Dns()
    assert parser.data(1, first[:200], len(first), 1) == 0
    assert parser.data(1, second, len(second), 2) == 0
    assert [fact.fields["question"] for fact in all_facts(parser)] == ["x.example", "y.example"]


@pytest.mark.parametrize(
    "payload",
    [
        message("x.example"),
        message("x.example", flags=0x8180, answers=1),
        stream(message("x.example")),
        stream(message("x.example", flags=0x8183)),
    ],
)
def test_no_other_protocol_claims_it(payload: bytes) -> None:
    assert [one.name for one in PARSERS if one.looks_like(payload, 40000, 40001)] == ["dns"]
    assert [one.name for one in PARSERS if one.looks_like(payload, 40000, 53)] == ["dns"]


def test_random_bytes_are_not_dns() -> None:
    source = random.Random(7)
    assert not any(Dns.looks_like(source.randbytes(64), 40000, 40001) for _ in range(20_000))
    assert sum(Dns.looks_like(source.randbytes(64), 40000, 53) for _ in range(20_000)) < 20


@pytest.mark.parametrize("payload", [b"", b"\0", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", bytes(11), bytes(64)])
def test_other_bytes_are_not_dns(payload: bytes) -> None:
    assert not Dns.looks_like(payload, 40000, 53)


pieces = st.lists(
    st.tuples(st.integers(0, 1), st.binary(min_size=1, max_size=300), st.integers(0, 300), st.booleans()), max_size=6
)


@given(pieces)
@settings(max_examples=300, deadline=None)
def test_random_bytes_give_facts_or_value_error(taken: list[tuple[int, bytes, int, bool]]) -> None:
    survive(taken)


@given(st.integers(0, 400), st.binary(max_size=4), st.integers(0, 400), st.booleans(), st.integers(1, 400))
@settings(max_examples=300, deadline=None)
def test_mutated_messages_give_facts_or_value_error(at: int, put: bytes, end: int, framed: bool, cut: int) -> None:
    whole = message("a.b.c.example", 16, flags=0x8180, answers=5)
    whole = stream(whole, whole) if framed else whole
    mutated = (whole[:at] + put + whole[at + len(put) :])[: end or None] or b"\0"
    survive([(1, mutated[:cut], 0, False), (1, mutated[cut:] or b"\0", 7, True), (0, mutated, 0, False)])


def survive(taken: list[tuple[int, bytes, int, bool]]) -> None:
    parser = Dns()
    try:
        for direction, payload, missing, gap in taken:
            Dns.looks_like(payload, 53, 40000)
            assert parser.data(direction, payload, len(payload) + missing, 1) >= 0
            if gap:
                parser.gap(direction)
    except ValueError:
        pass
    all_facts(parser)


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_tshark_reads_the_same(tmp_path: Path) -> None:
    source = random.Random(11)
    sent = [message(f"h{source.randrange(999)}.x-{source.randrange(9)}.example", kind) for kind in TYPES]
    sent += [message("y.example", flags=0x8180 | code, answers=code % 3) for code in range(11)]
    dump = "".join(f"000000 {one.hex(' ')}\n" for one in sent)
    capture = str(tmp_path / "dns.pcap")
    subprocess.run(["text2pcap", "-q", "-u", "40000,53", "-", capture], input=dump, text=True, check=True, timeout=30)
    wanted = ("dns.qry.name", "dns.qry.type", "dns.flags.response", "dns.flags.rcode", "dns.count.answers")
    command = ["tshark", "-r", capture, "-T", "fields", *(part for name in wanted for part in ("-e", name))]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.splitlines()
    assert len(lines) == len(sent)
    for payload, line in zip(sent, lines, strict=True):
        name, kind, response, code, answers = line.split("\t")
        (fact,) = told((0, payload))
        assert (fact["question"], fact["question_type"]) == (name, TYPES[int(kind)])
        assert fact.get("rcode", "") == (RCODES[int(code)] if response == "1" else "")
        assert fact.get("answers", 0) == int(answers)


def test_type_table_is_in_order() -> None:
    assert all(before < after for before, after in pairwise(TYPES))
