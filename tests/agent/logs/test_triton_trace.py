"""`tests/data/logs/triton_trace.json` has the shape and the names of Triton's documentation (`trace.md`), in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.logs.triton_trace import MAX_OPEN, TritonTrace
from agent.protocol import Fact
from tests.agent.logs.hostile import hold, lines

FILE = Path(__file__).parents[2] / "data" / "logs" / "triton_trace.json"
OBJECTS = [json.dumps(piece).encode() for piece in json.loads(FILE.read_text())]


def facts(objects: list[bytes]) -> list[Fact]:
    form = TritonTrace()
    return [fact for fact in (form.parse(piece, 1_790_000_000_000_000) for piece in objects) if fact]


def test_a_file() -> None:
    first, content, second = facts(OBJECTS)
    assert (first.dataset, first.when) == ("ai.inference", 1_790_000_000_000_000)
    assert first.fields == {"server": "triton", "model": "simple", "action": "predict", "source": "", "duration": 3_125_547}
    assert content.dataset == "ai.model_access"
    assert content.fields == {"action": "log-content", "provider": "triton-trace", "server": "triton", "model": "chest"}
    assert (second.fields["model"], second.fields["duration"]) == ("chest", 900)


def test_a_request_without_its_beginning_has_no_name() -> None:
    (fact,) = facts(OBJECTS[10:11])
    assert (fact.fields["model"], fact.fields["duration"]) == ("", 0)


@pytest.mark.parametrize("at", range(len(OBJECTS)))
def test_a_restart_forgets_no_request(at: int) -> None:
    form, again = TritonTrace(), TritonTrace()
    before = [fact for fact in (form.parse(piece, 1_790_000_000_000_000) for piece in OBJECTS[:at]) if fact]
    again.recall(json.loads(json.dumps(form.memory())))
    after = [fact for fact in (again.parse(piece, 1_790_000_000_000_000) for piece in OBJECTS[at:]) if fact]
    assert [fact.fields for fact in before + after] == [fact.fields for fact in facts(OBJECTS)]


@pytest.mark.parametrize(
    "memory", [None, 1, [1], [[1]], [["a", "m", False, 0, 0]], {"a": 1}, [[1, "x" * 99, False, 0, 0]] * 9999]
)
def test_a_memory_that_is_none_is_passed_over(memory: object) -> None:
    form = TritonTrace()
    form.recall(memory)
    assert len(form._open) <= 1
    assert all(request.model in {"", "other"} for request in form._open.values())


def test_a_server_that_counts_anew_is_not_mixed_with_what_it_was() -> None:
    first, second, end = (
        b'{"id":1,"model_name":"old","timestamps":[{"name":"REQUEST_START","ns":5}]}',
        b'{"id":1,"model_name":"new"}',
        b'{"id":1,"timestamps":[{"name":"REQUEST_START","ns":100},{"name":"HTTP_SEND_END","ns":900}]}',
    )
    (fact,) = facts([first, second, end])
    assert (fact.fields["model"], fact.fields["duration"]) == ("new", 800)


def test_a_name_that_is_none_is_other() -> None:
    (fact,) = facts([b'{"id":1,"model_name":"RAO^ANITA"}', b'{"id":1,"timestamps":[{"name":"HTTP_SEND_END","ns":1}]}'])
    assert fact.fields["model"] == "other"


def test_requests_that_never_end_are_bounded() -> None:
    form = TritonTrace()
    for number in range(3 * MAX_OPEN):
        assert form.parse(b'{"id":%d,"model_name":"m"}' % number) is None
    assert len(form._open) == MAX_OPEN
    assert form.forgotten == 2 * MAX_OPEN


@pytest.mark.parametrize(
    "line", [b"", b"[]", b"{}", b'{"id":1}', b'{"id":"1","model_name":"m"}', b'{"id":1,"timestamps":[1]}', b'{"id":' * 9999]
)
def test_another_shape_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        TritonTrace().parse(line)


@given(st.lists(lines(OBJECTS), max_size=8))
def test_any_bytes_are_a_fact_or_a_value_error(pieces: list[bytes]) -> None:
    form = TritonTrace()
    for piece in pieces:
        hold(form, piece)
