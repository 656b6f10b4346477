from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given

from agent.logs.clock import EPOCH
from agent.logs.dicom_audit import DicomAudit
from agent.sources.syslog_header import Header, read_header
from tests.agent.logs.hostile import lines


def at(text: str) -> int:
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1)


ARRIVAL = at("2027-01-01T00:00:05+00:00")
FULL = (
    b"<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 "
    b'[exampleSDID@32473 iut="3" eventSource="Ap\\"p\\]"][x] '
)
OLD = b"<34>Oct 11 22:14:15 mymachine su: 'su root' failed for lonvick on /dev/pts/8"


@pytest.mark.parametrize(
    ("message", "when", "host", "rest"),
    [
        (FULL + b"\xef\xbb\xbfAn event", "2003-10-11T22:14:15.003+00:00", "mymachine.example.com", b"An event"),
        (b"<165>1 2003-10-11T22:14:15.003Z h a p m -", "2003-10-11T22:14:15.003+00:00", "h", b""),
        (
            b"<85>1 2024-06-25T13:47:57.600Z host IPF 1 IHE+RFC-3881 - <?xml?>",
            "2024-06-25T13:47:57.6+00:00",
            "host",
            b"<?xml?>",
        ),
        (b"<85>1 - - - - - - x", None, "", b"x"),
        (OLD, "2026-10-11T22:14:15+00:00", "mymachine", OLD[30:]),
        (b"<34>Dec 31 23:59:59 h x", "2026-12-31T23:59:59+00:00", "h", b"x"),
        (b"<34>Jan  1 00:00:00.5 h x", "2027-01-01T00:00:00.5+00:00", "h", b"x"),
        (b"<34>Foo 31 23:59:59 h x", None, "h", b"x"),
        (b"<34>hello", None, "", b"hello"),
    ],
)
def test_headers(message: bytes, when: str | None, host: str, rest: bytes) -> None:
    header = read_header(message, UTC, ARRIVAL)
    assert header == Header(at(when) if when else None, host, len(message) - len(rest))


@pytest.mark.parametrize("message", [b"", b"x", b"<", b"<x>", b"<1000>", b"<192>x", b"34>x"])
def test_without_a_priority_there_is_no_header(message: bytes) -> None:
    with pytest.raises(ValueError, match="no priority"):
        read_header(message, UTC, ARRIVAL)


@pytest.mark.parametrize("name", ["atna_dicom.xml", "atna_rfc3881.xml"])
def test_an_audit_message_follows_its_header(name: str) -> None:
    message = (Path(__file__).parents[2] / "data" / "logs" / name).read_bytes().rstrip()
    header = read_header(message, UTC, ARRIVAL)
    assert message[header.start :].startswith(b"<?xml")
    assert DicomAudit().parse(message[header.start :]).fields == DicomAudit().parse(message).fields


@given(lines([FULL, OLD, b"<34>1 - - - - - - x"]))
def test_any_bytes_are_a_header_or_a_value_error(message: bytes) -> None:
    try:
        header = read_header(message, UTC, ARRIVAL)
    except ValueError:
        return
    assert 0 < header.start <= len(message)


def test_long_structured_data_costs_little() -> None:
    for piece in (b"[", b'[a b="', b'[a b="\\', b"[a ", b" "):
        read_header(FULL + piece * 20_000, UTC, ARRIVAL)
