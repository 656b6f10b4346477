from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nigrani.stream.codec import MAX_LINE, decode, encode, encode_lines
from nigrani.stream.event import Event


@given(st.data())
def test_what_is_encoded_decodes_to_itself(any_event: st.SearchStrategy[Event], data: st.DataObject) -> None:
    event = data.draw(any_event)
    assert decode(encode(event)) == event


@given(st.data())
def test_one_line_is_one_json_object(any_event: st.SearchStrategy[Event], data: st.DataObject) -> None:
    events = data.draw(st.lists(any_event, max_size=4))
    lines = encode_lines(events).splitlines()
    assert [decode(line) for line in lines] == events
    assert all("event.dataset" in json.loads(line) for line in lines)


def check_event_or_value_error(line: bytes) -> None:
    try:
        found = decode(line)
    except ValueError:
        return
    assert isinstance(found, Event)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_arbitrary_bytes_are_an_event_or_a_value_error(line: bytes) -> None:
    check_event_or_value_error(line)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


@given(st.data())
def test_a_field_of_another_shape_is_an_event_or_a_value_error(
    any_event: st.SearchStrategy[Event], data: st.DataObject
) -> None:
    fields = json.loads(encode(data.draw(any_event)))
    fields[data.draw(st.sampled_from(sorted(fields)))] = data.draw(JSON)
    check_event_or_value_error(json.dumps(fields).encode())


@given(st.data())
def test_a_mutated_or_truncated_line_is_an_event_or_a_value_error(
    any_event: st.SearchStrategy[Event], data: st.DataObject
) -> None:
    line = bytearray(encode(data.draw(any_event)))
    for _ in range(data.draw(st.integers(1, 3))):
        line[data.draw(st.integers(0, len(line) - 1))] = data.draw(st.integers(0, 255))
    check_event_or_value_error(bytes(line[: data.draw(st.integers(0, len(line)))]))


def test_a_line_over_the_bound_is_refused_unread() -> None:
    with pytest.raises(ValueError, match="65537 bytes are no event"):
        decode(b" " * (MAX_LINE + 1))


def test_the_message_names_the_path_of_the_fault() -> None:
    with pytest.raises(ValueError, match=r"source\.port"):
        decode(
            b'{"event.dataset":"network.dns","@timestamp":"2026-01-01T00:00:00Z","event.id":"1","event.sequence":1,'
            b'"agent.id":"a","host.id":"h","source.address":"s","destination.address":"d","source.port":65536}'
        )
