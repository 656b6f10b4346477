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

from agent.protocol import DONE
from agent.protocols import PARSERS
from agent.protocols.rdp import FAILURES, Rdp
from nigrani.stream.events.session import NetworkSession

FIELDS = {field.name for field in msgspec.structs.fields(NetworkSession)}


def tpkt(unit: bytes) -> bytes:
    return b"\3\0" + struct.pack(">H", 4 + len(unit)) + unit


def connection(kind: int, *, cookie: bytes = b"", negotiation: tuple[int, int] | None = None) -> bytes:
    tail = cookie + (struct.pack("<BBHI", negotiation[0], 0, 8, negotiation[1]) if negotiation else b"")
    return tpkt(bytes((6 + len(tail), kind)) + b"\0\0\x12\x34\0" + tail)


def core_data(name: str, build: int) -> bytes:
    """Client core data behind enough of an MCS Connect-Initial (MS-RDPBCGR §4.1.3)."""
    encoded = name.encode("utf-16-le").ljust(32, b"\0")
    core = b"\x01\xc0\xd8\0\4\0\x08\0" + struct.pack("<HHHHII", 1280, 800, 0xCA01, 0xAA03, 0x409, build) + encoded
    gcc = b"\x7f\x65\x82\x01\x94" + bytes(60) + b"\0\x05\0\x14\x7c\0\1\x81\x2a\0\x08\0\x10\0\1\xc0\0Duca\x81\x1c"
    return tpkt(b"\x02\xf0\x80" + gcc + core + bytes(160))


COOKIE = b"Cookie: mstshash=radiolog\r\n"
REQUEST = connection(0xE0, cookie=COOKIE, negotiation=(1, 3))
CONFIRM = connection(0xD0, negotiation=(2, 2))
REFUSAL = connection(0xD0, negotiation=(3, 5))
PLAIN_REQUEST, PLAIN_CONFIRM = connection(0xE0, cookie=COOKIE), connection(0xD0)


def rows(parser: Rdp) -> list[dict[str, object]]:
    told = [dict(fact.fields) for fact in parser.fresh]
    for fact in told:
        assert FIELDS.issuperset(fact)
        assert fact.pop("protocol") == "rdp"
    return told


def told(*pieces: tuple[int, bytes]) -> list[dict[str, object]]:
    parser = Rdp()
    for direction, payload in pieces:
        if parser.data(direction, payload, len(payload), 1) == DONE:
            break
    return rows(parser)


ASKED = {"action": "connection_request", "user": "radiolog", "version": "tls,hybrid"}


def test_negotiation_then_done() -> None:
    parser = Rdp()
    assert parser.data(0, REQUEST, len(REQUEST), 1) == 0
    assert parser.data(1, CONFIRM, len(CONFIRM), 2) == DONE
    assert rows(parser) == [ASKED, {"action": "connection_confirm", "outcome": "success", "version": "hybrid"}]


@pytest.mark.parametrize(("code", "status"), [*FAILURES.items(), (77, "77")])
def test_refusals(code: int, status: str) -> None:
    refusal = connection(0xD0, negotiation=(3, code))
    assert told((0, REQUEST), (1, refusal)) == [
        ASKED,
        {"action": "connection_confirm", "outcome": "failure", "status": status},
    ]


@pytest.mark.parametrize(
    ("bits", "names"),
    [(0, "rdp"), (1, "tls"), (2, "hybrid"), (3, "tls,hybrid"), (11, "tls,hybrid,hybrid_ex"), (4, "rdstls"), (64, "rdp")],
)
def test_protocols(bits: int, names: str) -> None:
    assert told((0, connection(0xE0, negotiation=(1, bits)))) == [{"action": "connection_request", "version": names}]


def test_core_data_in_clear() -> None:
    assert told((0, PLAIN_REQUEST), (1, PLAIN_CONFIRM), (0, core_data("WARD-7-PC", 2600))) == [
        {"action": "connection_request", "user": "radiolog", "version": "rdp"},
        {"action": "connection_confirm", "outcome": "success", "version": "rdp"},
        {"action": "client_core_data", "client_software": "build 2600", "client_name": "WARD-7-PC"},
    ]


def test_core_data_that_is_not_there() -> None:
    assert len(told((0, PLAIN_REQUEST), (1, PLAIN_CONFIRM), (0, tpkt(b"\x02\xf0\x80" + bytes(80))))) == 2


def test_split_anywhere_tells_the_same() -> None:
    pieces = ((0, PLAIN_REQUEST), (1, PLAIN_CONFIRM), (0, core_data("WARD-7-PC", 2600)))
    for at in range(1, len(pieces[2][1])):
        assert told(*((side, part) for side, whole in pieces for part in (whole[:at], whole[at:]) if part)) == told(*pieces)


@pytest.mark.parametrize("kept", [11, 20, 30, 40])
def test_snap_length(kept: int) -> None:
    parser = Rdp()
    assert Rdp.looks_like(REQUEST[:kept], 40000, 3389) == (kept > 20)
    assert parser.data(0, REQUEST[:kept], len(REQUEST), 1) == 0
    assert parser.data(1, CONFIRM, len(CONFIRM), 2) == DONE
    assert [fact["action"] for fact in rows(parser)] == ["connection_request", "connection_confirm"]


def test_gap_then_garbage_then_the_confirm() -> None:
    parser = Rdp()
    parser.data(1, CONFIRM[:7], 7, 1)
    parser.gap(1)
    assert parser.data(1, b"\xff" * 50, 50, 2) == 0
    assert parser.data(1, CONFIRM, len(CONFIRM), 3) == DONE


def test_patience_ends() -> None:
    parser = Rdp()
    assert [parser.data(0, bytes(1000), 1000, 1) for _ in range(5)][-1] == DONE


@pytest.mark.parametrize("payload", [REQUEST, CONFIRM, REFUSAL, PLAIN_REQUEST, connection(0xE0, negotiation=(1, 0))])
def test_no_other_protocol_claims_it(payload: bytes) -> None:
    for port in (3389, 53, 1883, 102):
        assert [one.name for one in PARSERS if one.looks_like(payload, 40000, port)] == ["rdp"]


def test_a_bare_connection_is_rdps_on_its_port_only() -> None:
    assert Rdp.looks_like(PLAIN_CONFIRM, 3389, 40000)
    assert not Rdp.looks_like(PLAIN_CONFIRM, 102, 40000)


@pytest.mark.parametrize(
    "unit",
    [
        bytes.fromhex("11e00000000100c0010ac1020100c2020102"),  # S7comm
        bytes.fromhex("02f08032010000"),  # data
        bytes.fromhex("0ee0000012340202000800000000"),  # no request's type
    ],
)
def test_other_users_of_tpkt_are_not_rdp(unit: bytes) -> None:
    assert not Rdp.looks_like(tpkt(unit), 40000, 102)


def test_random_bytes_are_not_rdp() -> None:
    source = random.Random(7)
    assert not any(Rdp.looks_like(b"\3\0\0" + source.randbytes(64), 40000, 3389) for _ in range(20_000))


@given(st.lists(st.tuples(st.integers(0, 1), st.binary(min_size=1, max_size=300), st.integers(0, 99)), max_size=6))
@settings(max_examples=200, deadline=None)
def test_random_bytes_give_facts_or_value_error(taken: list[tuple[int, bytes, int]]) -> None:
    survive([(side, tpkt(part) if missing % 2 else part, missing) for side, part, missing in taken])


@given(st.integers(0, 400), st.binary(max_size=6), st.integers(1, 400), st.integers(1, 400))
@settings(max_examples=300, deadline=None)
def test_mutated_messages_give_facts_or_value_error(at: int, put: bytes, end: int, cut: int) -> None:
    whole = PLAIN_REQUEST + core_data("WARD-7-PC", 2600)
    mutated = (whole[:at] + put + whole[at + len(put) :])[:end]
    survive([(1, PLAIN_CONFIRM, 0), (0, mutated[:cut], 0), (0, mutated[cut:] or b"\3", 5)])


def survive(taken: list[tuple[int, bytes, int]]) -> None:
    parser = Rdp()
    try:
        for direction, payload, missing in taken:
            if parser.data(direction, payload, len(payload) + missing, 1) == DONE:
                break
    except ValueError:
        pass
    rows(parser)


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_tshark_reads_the_same(tmp_path: Path) -> None:
    capture = str(tmp_path / "rdp.pcap")
    dump = f"000000 {REQUEST.hex(' ')}\n"
    subprocess.run(["text2pcap", "-q", "-T", "40000,3389", "-", capture], input=dump, text=True, check=True, timeout=30)
    names = ("rdp.rt_cookie", "rdp.negReq.requestedProtocols")
    command = ["tshark", "-r", capture, "-T", "fields", *(part for name in names for part in ("-e", name))]
    line = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.rstrip("\n")
    cookie, protocols = line.split("\t")
    (fact,) = told((0, REQUEST))
    assert (f"Cookie: mstshash={fact['user']}", int(protocols, 16)) == (cookie.replace("\\r\\n", "").strip(), 3)
