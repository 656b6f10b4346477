from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.protocol import DONE
from agent.protocols import PARSERS
from agent.protocols.ssh import Ssh
from nigrani.stream.events.session import NetworkSession

FIELDS = {field.name for field in msgspec.structs.fields(NetworkSession)}
CLIENT, SERVER = b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n", b"SSH-2.0-libssh_0.10.6\r\n"


def rows(parser: Ssh) -> list[dict[str, object]]:
    told = [dict(fact.fields) for fact in parser.fresh]
    for fact in told:
        assert FIELDS.issuperset(fact)
        assert (fact.pop("protocol"), fact.pop("action")) == ("ssh", "identification")
    return told


def told(direction: int, line: bytes) -> list[dict[str, object]]:
    parser = Ssh()
    parser.data(direction, line, len(line), 1)
    return rows(parser)


def test_both_sides_then_done() -> None:
    parser = Ssh()
    assert parser.data(1, SERVER, len(SERVER), 1) == 0
    assert parser.data(0, CLIENT, len(CLIENT), 2) == DONE
    assert rows(parser) == [
        {"version": "2.0", "server_software": "libssh_0.10.6"},
        {"version": "2.0", "client_software": "OpenSSH_9.2p1"},
    ]


@pytest.mark.parametrize(
    ("line", "version", "software"),
    [
        (b"SSH-2.0-Go\r\n", "2.0", "Go"),
        (b"SSH-1.99-Cisco-1.25\n", "1.99", "Cisco-1.25"),
        (b"SSH-2.0-paramiko_3.4.0 a comment\r\nKEXINIT", "2.0", "paramiko_3.4.0"),
        (b"SSH-2.0-\r\n", "2.0", ""),
        (b"SSH-2.0\r\n", "2.0", ""),
        (b"SSH-\r\n", "", ""),
        (b"SSH-2.0-\xff\xfe\r\n", "2.0", "\xff\xfe"),
        (b"Access is logged.\r\n\r\nSSH-2.0-dropbear\r\n", "2.0", "dropbear"),
    ],
)
def test_identification_strings(line: bytes, version: str, software: str) -> None:
    (fact,) = told(1, line)
    assert (fact.get("version", ""), fact.get("server_software", "")) == (version, software)


def test_split_anywhere_tells_the_same() -> None:
    line = b"Welcome.\r\n" + SERVER
    for at in range(1, len(line)):
        parser = Ssh()
        parser.data(1, line[:at], at, 1)
        parser.data(1, line[at:], len(line) - at, 1)
        assert rows(parser) == told(1, line)


def test_byte_by_byte_tells_the_same() -> None:
    parser = Ssh()
    for byte in SERVER:
        parser.data(1, bytes((byte,)), 1, 1)
    assert rows(parser) == told(1, SERVER)


def test_an_endless_string_is_none() -> None:
    with pytest.raises(ValueError, match="no end"):
        told(0, b"SSH-2.0-" + b"x" * 300)
    with pytest.raises(ValueError, match="no end"):
        Ssh().data(0, b"SSH-2.0-Open", 30, 1)


def test_done_when_the_other_side_stays_unseen() -> None:
    parser = Ssh()
    assert parser.data(0, CLIENT, len(CLIENT), 1) == 0
    assert parser.data(0, bytes(1000), 5000, 2) == DONE


def test_gap_gives_the_string_up() -> None:
    parser = Ssh()
    parser.gap(1)
    assert parser.data(0, CLIENT, len(CLIENT), 1) == DONE
    assert len(parser.fresh) == 1


@pytest.mark.parametrize("payload", [CLIENT, SERVER, b"SSH-1.99-Cisco-1.25\n"])
def test_no_other_protocol_claims_it(payload: bytes) -> None:
    for port in (22, 53, 1883, 3389, 2575):
        assert [one.name for one in PARSERS if one.looks_like(payload, 40000, port)] == ["ssh"]


def test_random_bytes_are_not_ssh() -> None:
    source = random.Random(7)
    assert not any(Ssh.looks_like(source.randbytes(64), 40000, 22) for _ in range(20_000))
    assert not Ssh.looks_like(b"SSH-", 40000, 22)


@given(st.lists(st.tuples(st.integers(0, 1), st.binary(min_size=1, max_size=300), st.integers(0, 9)), max_size=8))
@settings(max_examples=200, deadline=None)
def test_random_bytes_give_facts_or_value_error(taken: list[tuple[int, bytes, int]]) -> None:
    survive(taken)


@given(st.integers(0, 60), st.binary(max_size=4), st.integers(1, 60), st.integers(1, 60))
@settings(max_examples=200, deadline=None)
def test_mutated_strings_give_facts_or_value_error(at: int, put: bytes, end: int, cut: int) -> None:
    mutated = (CLIENT[:at] + put + CLIENT[at + len(put) :])[:end]
    survive([(0, mutated[:cut] or b"\n", 0), (0, mutated[cut:] or b"\n", 0), (1, mutated, 3)])


def survive(taken: list[tuple[int, bytes, int]]) -> None:
    parser = Ssh()
    try:
        for direction, payload, missing in taken:
            if parser.data(direction, payload, len(payload) + missing, 1) == DONE:
                break
    except ValueError:
        pass
    rows(parser)
