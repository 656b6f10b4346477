"""What is read out of a finding, whoever wrote it."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from detector.alert import Reason
from detector.page.story import MAX_ITEMS, Story, read
from tests.detector.cases.made import alert

JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=20,
)


def test_our_own_finding_is_told_whole() -> None:
    made = alert(peer="ip:b")
    made.reasons = [Reason("ports", 41, 1, 4, 500, own=True, minutes=499)]
    made.attack, made.matrix, made.first_steps, made.runbook = ["T1046"], "ATT&CK v19", ["Look."], "port-scan"
    made.events = ["86f4-1"]
    told = read(msgspec.json.encode(made.ocsf()))
    assert told.because == ("41 ports",)
    assert told.reasons == tuple(made.reasons)
    assert (told.techniques, told.matrix, told.runbook) == (("T1046",), "ATT&CK v19", "port-scan")
    assert (told.first_steps, told.events, told.rule) == (("Look.",), ("86f4-1",), "id-of-port_scan")


def test_what_is_no_finding_tells_nothing() -> None:
    assert read(b"") == read(b"[]") == read(b'{"unmapped": 7}') == Story()


def test_a_reason_that_is_none_is_left_out() -> None:
    assert read(b'{"unmapped": {"reasons": [7, {"feature": "x"}]}}').reasons == ()


def test_lists_are_bounded() -> None:
    assert len(read(msgspec.json.encode({"unmapped": {"because": ["x"] * 10_000}})).because) == MAX_ITEMS


@given(st.dictionaries(st.sampled_from(["unmapped", "finding_info", "remediation"]), JSON))
def test_whatever_it_is_it_is_read_or_left(document: dict[str, object]) -> None:
    assert isinstance(read(msgspec.json.encode(document)), Story)


def test_lists_within_lists_without_end_tell_nothing() -> None:
    assert read(b'{"unmapped": ' + b"[" * 100_000 + b"]" * 100_000 + b"}") == Story()
