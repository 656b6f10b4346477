"""What a rule means to us and to pySigma: the same rules, turned into SQL by a backend of it, asked of the same events.

An empty text is an absent one to us, and so is NULL in the table: an event does not carry what it has not. What differs
by choice is left out here and stands in docs/responder.md.
"""

import json
import sqlite3
from datetime import UTC, datetime, timedelta
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import re2
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from sigma.backends.sqlite import sqliteBackend
from sigma.collection import SigmaCollection
from sigma.rule import SigmaDetections

from detector.condition import Conditions
from detector.rule import Extra
from detector.rule_detection import detection_refusals, parse_condition
from detector.rule_field import event_fields
from detector.rule_program import Program
from detector.rule_tree import Constants
from detector.ruleset import RuleSet
from nigrani.stream.event import Count, Event, Word
from nigrani.stream.events import DicomAssociation

START = datetime(2026, 1, 4, 21, 58, tzinfo=UTC)


class Row(Event, kw_only=True, tag="row"):
    """An event with a field of each kind that SQL has."""

    text: Word = ""
    other: Word = ""
    size: Count = 0
    limit: Count | None = None
    share: float | None = None


FIELDS = event_fields(Row)
COLUMNS = 'text TEXT COLLATE NOCASE, other TEXT COLLATE NOCASE, size INTEGER, "limit" INTEGER, share REAL, "@timestamp" TEXT'

TEXTS = st.text("aAb-*?%_\\[]/. ", max_size=5)
WORDS = TEXTS.filter(bool)
NUMBERS = st.integers(0, 4)


@st.composite
def rows(draw: st.DrawFn) -> list[Row]:
    """A handful of events."""
    return [
        Row(
            timestamp=START + timedelta(minutes=draw(st.integers(0, 5)), days=draw(st.integers(0, 400))),
            id=f"e{number}", sequence=number, agent="a", host="h",
            text=draw(TEXTS), other=draw(TEXTS), size=draw(NUMBERS),
            limit=draw(st.none() | NUMBERS), share=draw(st.none() | st.sampled_from([0.0, 0.5, 1.0, 2.5])),
        )
        for number in range(draw(st.integers(1, 8)))
    ]  # fmt: skip


def one_or_more(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A value, or a list of them."""
    return values | st.lists(values, min_size=1, max_size=3)


PLAIN = ("", "|contains", "|startswith", "|endswith", "|cased", "|contains|cased", "|startswith|cased", "|endswith|cased")
PATTERNS = st.sampled_from(["a", "^a", "A$", "a.*b", "[ab]+", r"\\", "a|b", "^(a|b)*$", r"\*", "^.$"])
NAMES = st.sampled_from(["text", "other"])
WAYS = ("", "|startswith", "|endswith", "|contains")
DAYS = st.integers(0, 31)
ITEMS = st.one_of(
    st.tuples(NAMES, st.sampled_from(PLAIN), one_or_more(WORDS)),
    st.tuples(NAMES, st.sampled_from(["|contains|all", "|startswith|all"]), st.lists(WORDS, min_size=2, max_size=3)),
    st.tuples(NAMES, st.sampled_from(["|re", "|re|i", "|re|i|s", "|re|m"]), one_or_more(PATTERNS)),
    st.tuples(NAMES, st.just("|windash|contains"), st.sampled_from(["-a", " -b"])),
    st.tuples(NAMES, st.sampled_from(["|base64|contains", "|wide|base64offset|contains"]), st.sampled_from(["a", "ab"])),
    st.tuples(st.just("text"), st.sampled_from([f"|fieldref{how}" for how in WAYS]), st.just("other")),
    st.tuples(st.sampled_from(["size", "limit"]), st.just(""), one_or_more(NUMBERS | NUMBERS.map(str))),
    st.tuples(st.sampled_from(["size", "limit", "share"]), st.sampled_from(["|lt", "|lte", "|gt", "|gte", "|neq"]), NUMBERS),
    st.tuples(st.just("size"), st.just("|fieldref"), st.just("limit")),
    st.tuples(st.sampled_from(["text", "limit", "share"]), st.just(""), st.none()),
    st.tuples(st.sampled_from(["text", "limit", "share"]), st.just("|exists"), st.booleans()),
    st.tuples(NAMES, st.just("|neq"), WORDS),
    st.tuples(st.just("@timestamp"), st.sampled_from(["|minute", "|hour", "|day", "|month"]), one_or_more(DAYS)),
    st.tuples(st.just("@timestamp"), st.just("|year"), st.sampled_from([2025, 2026, 2027])),
)  # fmt: skip
SELECTIONS = st.lists(ITEMS, min_size=1, max_size=3).map(lambda items: {name + how: value for name, how, value in items})
JOINS = st.sampled_from(["and", "or"])
CONDITIONS = st.recursive(
    st.sampled_from(["sel_a", "sel_b", "other", "1 of them", "all of them", "1 of sel_*", "all of sel_*", "any of sel_*"]),
    lambda part: part.map("not ({})".format) | st.tuples(part, JOINS, part).map(" ".join).map("({})".format),
    max_leaves=4,
)  # fmt: skip


def ours(detection: dict[str, Any], events: list[Row]) -> list[str]:
    """Ids of the events that we say match."""
    constants = Constants()
    conditions = Conditions(FIELDS, constants)
    refused = list(detection_refusals(conditions, detection))
    assert not refused, [error.message for error in refused]
    match = Program([parse_condition(conditions, SigmaDetections.from_dict(detection))], constants).match
    return [event.id for event in events if match(event, Extra())]


def theirs(detection: dict[str, Any], events: list[Row]) -> list[str]:
    """Ids of the events that the backend's query finds."""
    rule = {"title": "t", "logsource": {"category": "test"}, "detection": detection}
    backend = sqliteBackend(collate_nocase=True)
    [query] = backend.convert(SigmaCollection.from_dicts([rule]))
    with sqlite3.connect(":memory:") as base:
        base.create_function("REGEXP", 2, lambda pattern, text: text is not None and re2.search(pattern, text) is not None)
        base.execute(f"CREATE TABLE logs (id TEXT, {COLUMNS})")
        base.executemany("INSERT INTO logs VALUES (?, ?, ?, ?, ?, ?, ?)", map(row, events))
        found = base.execute(query.replace("SELECT *", "SELECT id", 1)).fetchall()
    return sorted(name for (name,) in found)


def row(event: Row) -> tuple[Any, ...]:
    """The event as the table holds it."""
    when = event.timestamp.isoformat()
    return event.id, event.text or None, event.other or None, event.size, event.limit, event.share, when


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(SELECTIONS, SELECTIONS, SELECTIONS, CONDITIONS, rows())
def test_a_rule_means_the_same(
    a: dict[str, Any], b: dict[str, Any], c: dict[str, Any], condition: str, events: list[Row]
) -> None:
    detection = {"sel_a": a, "sel_b": [b, c], "other": c, "condition": condition}
    assert ours(detection, events) == theirs(detection, events)


VALUE = {"field": "dicom.contexts"}
ACTS = st.tuples(
    st.sampled_from("ab"), st.sampled_from("ab"), st.sampled_from("xxy"), st.sampled_from(("0000", "A700", "C000")), NUMBERS
)
SECONDS = st.lists(st.integers(0, 200), min_size=1, max_size=14, unique=True).map(sorted)
SPANS = st.sampled_from([10, 60, 90])
COUNTED = st.one_of(
    st.tuples(st.just("event_count"), st.just({}), st.sampled_from(["gt", "gte", "lt", "lte", "eq", "neq"])),
    st.tuples(st.just("value_count"), st.just({"field": "dicom.status"}), st.sampled_from(["gt", "gte"])),
    st.tuples(st.sampled_from(["value_sum", "value_avg", "value_median"]), st.just(VALUE), st.sampled_from(["gt", "lte"])),
    st.tuples(st.sampled_from(["temporal", "temporal_ordered"]), st.none(), st.none()),
)  # fmt: skip
TABLE = (
    '"event.id" TEXT, "@timestamp" TEXT, "host.id" TEXT, "source.address" TEXT, "event.action" TEXT, "dicom.status" TEXT, '
    '"dicom.contexts" INTEGER'
)


def correlated(
    kind: str, more: dict[str, Any] | None, op: str, limit: int, span: int, *, aliased: bool
) -> list[dict[str, Any]]:
    """A correlation and what it counts."""
    names = ["x"] if more is not None else ["x", "y"]
    counts: dict[str, Any] = {"type": kind, "rules": names, "timespan": f"{span}s", "group-by": ["source.address"]}
    if more is not None:
        counts["condition"] = {**more, op: limit}
    elif aliased:
        counts |= {"group-by": ["device"], "aliases": {"device": {"x": "source.address", "y": "host.id"}}}
    logsource = {"product": "healthcare", "service": "dicom"}
    bases = [
        {
            "title": name,
            "name": name,
            "logsource": logsource,
            "detection": {"sel": {"event.action": name}, "condition": "sel"},
        }
        for name in names
    ]
    identity = "6c0e5a0e-7d0a-4b6e-9a55-d0a5c1a7e0f4"
    return [*bases, {"title": "c", "id": identity, "name": "c", "level": "high", "correlation": counts}]


def groups_of_ours(rules: list[dict[str, Any]], events: list[DicomAssociation], folder: Path) -> set[str]:
    """The groups of which we tell."""
    path = folder / "rules.yml"
    path.write_text(yaml.safe_dump_all(rules), encoding="utf-8")
    match = RuleSet.load(path).match
    return {value for event in events for hit in match(event) for _, value in hit.group}


def groups_of_theirs(rules: list[dict[str, Any]], events: list[DicomAssociation]) -> set[str]:
    """The groups that the backend's query finds."""
    backend = sqliteBackend(collate_nocase=True, timestamp_field="@timestamp", event_id_field="event.id")
    query = backend.convert(SigmaCollection.from_dicts(rules))[-1]
    with sqlite3.connect(":memory:") as base:
        base.row_factory = sqlite3.Row
        base.execute(f"CREATE TABLE logs ({TABLE})")
        told = [
            (one.id, one.timestamp.isoformat(), one.host, one.source, one.action, one.status, one.contexts) for one in events
        ]
        base.executemany("INSERT INTO logs VALUES (?, ?, ?, ?, ?, ?, ?)", told)
        return {value for found in base.execute(query) for value in json.loads(found["group_keys"]).values()}


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(COUNTED, NUMBERS, SPANS, st.booleans(), SECONDS, st.data())
def test_a_correlation_means_the_same(
    tmp_path_factory: pytest.TempPathFactory,
    counted: tuple[str, Any, str],
    limit: int,
    span: int,
    aliased: bool,
    seconds: list[int],
    data: st.DataObject,
) -> None:
    """Left out: events that are a whole timespan apart or at one moment, and percentiles, which to us are values there."""
    assume(not any(later - earlier == span for earlier, later in combinations(seconds, 2)))
    events = [
        DicomAssociation(
            timestamp=START + timedelta(seconds=second), id=f"e{number}", sequence=number, agent="m",
            host=host, source=source, destination="d", action=action, status=status, contexts=contexts,
        )
        for number, second in enumerate(seconds)
        for host, source, action, status, contexts in [data.draw(ACTS)]
    ]  # fmt: skip
    rules = correlated(*counted, limit, span, aliased=aliased)
    assert groups_of_ours(rules, events, tmp_path_factory.mktemp("rules")) == groups_of_theirs(rules, events)
