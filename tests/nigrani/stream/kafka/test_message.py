from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.partitioner.default import murmur2 as theirs

from nigrani.stream.codec import MAX_LINE
from nigrani.stream.event import SCHEMA_VERSION
from nigrani.stream.kafka import message as module
from nigrani.stream.kafka.message import (
    BATCH_BYTES,
    BATCH_EVENTS,
    COUNT,
    JSON,
    MAX_EVENTS,
    NDJSON,
    SCHEMA,
    TYPE,
    BatchWire,
    EventWire,
    Wire,
    lines_of,
    murmur2,
    partition_of,
    time_of,
    wire,
)


def line(host: str, number: int = 0, padding: int = 0) -> bytes:
    return json.dumps({"event.sequence": number, "host.id": host, "x": "y" * padding}).encode()


MANY = [line(f"ip:{number % 7}", number) for number in range(2000)]
WIRES = [EventWire, BatchWire]


@given(st.binary(max_size=100))
def test_the_hash_is_kafkas(data: bytes) -> None:
    assert murmur2(data) == theirs(data)


def test_the_partition_is_kafkas() -> None:
    assert partition_of(b"21", 1000) == (theirs(b"21") & 0x7FFFFFFF) % 1000
    assert {partition_of(str(number).encode(), 3) for number in range(50)} == {0, 1, 2}


@pytest.mark.parametrize("kind", WIRES)
def test_there_and_back_in_order_by_partition(kind: type[Wire]) -> None:
    packed = kind().pack(MANY, 3)
    assert packed.bad == []
    found: dict[int, list[bytes]] = {}
    for partition, _, value, headers in packed.messages:
        found.setdefault(partition, []).extend(lines_of(value, headers))
        assert dict(headers)[SCHEMA] == str(SCHEMA_VERSION).encode()
    assert {number: [each for each in MANY if partition_of(_host(each), 3) == number] for number in found} == found
    assert sum(map(len, found.values())) == len(MANY)


def _host(text: bytes) -> bytes:
    return json.loads(text)["host.id"].encode()


def test_an_event_has_its_host_as_key() -> None:
    (only,) = EventWire().pack([line("ip:é")], 5).messages
    assert (only.key, only.partition) == ("ip:é".encode(), partition_of("ip:é".encode(), 5))
    assert dict(only.headers)[TYPE] == JSON


def test_a_batch_is_bounded_and_says_how_many() -> None:
    messages = BatchWire().pack([line("a", number) for number in range(BATCH_EVENTS + 1)], 1).messages
    assert [dict(each.headers)[COUNT] for each in messages] == [b"500", b"1"]
    assert {each.key for each in messages} == {None}
    large = [line("a", number, 60_000) for number in range(20)]
    messages = BatchWire().pack(large, 1).messages
    assert len(messages) == 3
    assert max(len(each.value) for each in messages) <= BATCH_BYTES
    assert [text for each in messages for text in lines_of(each.value, each.headers)] == large


@pytest.mark.parametrize("kind", WIRES)
@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"host.id":1}',
        b'{"host.id":""}',
        line("x" * 65),
        line("a", 0, MAX_LINE),
        b"\xff",
        b"[" * 5000,
    ],
)
def test_what_is_no_event_is_set_aside(kind: type[Wire], bad: bytes) -> None:
    packed = kind().pack([MANY[0], bad, MANY[1]], 3)
    assert [text for text, _ in packed.bad] == [bad]
    assert all(reason for _, reason in packed.bad)
    assert sum(len(lines_of(each.value, each.headers)) for each in packed.messages) == 2


def test_hosts_are_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_HOSTS", 3)
    packer = EventWire()
    assert [each.partition for each in packer.pack(MANY, 4).messages] == [partition_of(_host(each), 4) for each in MANY]
    assert len(packer._hosts._known) <= 3


def test_another_number_of_partitions_is_another_place() -> None:
    packer = EventWire()
    for count in (3, 8, 3):
        assert [each.partition for each in packer.pack(MANY, count).messages] == [
            partition_of(_host(each), count) for each in MANY
        ]


def test_the_names_of_the_wire_formats() -> None:
    assert isinstance(wire("event"), EventWire)
    assert isinstance(wire("batch"), BatchWire)


def test_a_message_without_our_header_is_read_by_what_it_holds() -> None:
    assert lines_of(b'{"a":1}', []) == [b'{"a":1}']
    assert lines_of(b'{"a":1}\n{"a":2}\n\n', [("other", b"x")]) == [b'{"a":1}', b'{"a":2}']


@pytest.mark.parametrize(
    ("value", "headers"),
    [(None, []), (b"x", [(TYPE, b"text/plain")]), (b"\n" * (MAX_EVENTS + 1), [(TYPE, NDJSON)])],
)
def test_what_is_neither_is_told(value: bytes | None, headers: list[tuple[str, bytes]]) -> None:
    with pytest.raises(ValueError, match=r"."):
        lines_of(value, headers)


@given(st.binary(max_size=200), st.lists(st.tuples(st.sampled_from([TYPE, COUNT, "x"]), st.binary(max_size=20)), max_size=3))
def test_no_message_does_harm(value: bytes, headers: list[tuple[str, bytes]]) -> None:
    with suppress(ValueError):
        assert isinstance(lines_of(value, headers), list)


@given(st.binary(max_size=200))
def test_no_line_does_harm(text: bytes) -> None:
    for kind in WIRES:
        packed = kind().pack([text], 3)
        assert len(packed.bad) + len(packed.messages) == 1
    time_of(text)


def test_an_events_time() -> None:
    assert time_of(b'{"@timestamp":"2026-11-21T10:00:00.5Z"}') == 1795255200.5
    assert time_of(b'{"@timestamp":"2026-11-21T10:00:00"}') is None
    assert time_of(b"{}") is None
