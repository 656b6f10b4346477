"""Every shipped rule that counts, just below its threshold, spread over devices and spread over time: it stays silent.

The events are those that must match, taken one transaction at a time.
"""

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
import yaml

from detector.rule import Extra
from detector.ruleset import RuleSet
from nigrani.service.duration import duration
from nigrani.stream.codec import decode

HERE = Path(__file__).parent
RULES = HERE.parents[1] / "rules"
START = datetime(2026, 11, 21, 8, tzinfo=UTC)
MOMENT = timedelta(milliseconds=1)
COUNTING = ("event_count", "value_count")

Wire = dict[str, Any]


class Case(NamedTuple):
    """A rule that counts, and what it must tell of."""

    rules: RuleSet
    rule: str
    counts: dict[str, Any]
    events: list[Wire]

    @property
    def limit(self) -> int:
        """How many it takes."""
        return limit(self.counts)

    @property
    def enough(self) -> list[Wire]:
        """So many of its events as it takes, and no more."""
        if self.counts["type"] == "event_count":
            return self.events[: self.limit]
        field = self.counts["condition"]["field"]
        values: dict[object, Wire] = {}
        for event in self.events:
            values.setdefault(event[field], event)
        return list(values.values())[: self.limit]


def limit(counts: dict[str, Any]) -> int:
    """How many it takes for a correlation to match."""
    condition = counts["condition"]
    return int(condition["gte"] if "gte" in condition else condition["gt"] + 1)


def cases() -> Iterator[Case]:
    """Each rule that counts, with each of the sequences that it tells of."""
    for file in sorted(RULES.rglob("*.yml")):
        documents = list(yaml.safe_load_all(file.read_text(encoding="utf-8")))
        counting = [one for one in documents if counts_events(one, documents)]
        rules = RuleSet.load(file) if counting else None
        for document in counting:
            assert rules is not None
            for sequence in sorted((HERE / file.relative_to(RULES).with_suffix("") / "match").glob("*.ndjson")):
                events = list(transactions(sequence, document["correlation"]))
                if tells(rules, document["id"], events):
                    counted = list(those_counted(rules, document, events))
                    yield Case(rules, document["id"], document["correlation"], counted)


def counts_events(document: dict[str, Any], documents: list[dict[str, Any]]) -> bool:
    """Whether it counts, and counts events: an absence needs others than those that it is told of."""
    correlation = document.get("correlation", {})
    kinds = {one.get("name"): one.get("correlation", {}).get("type") for one in documents}
    absent = any(kinds.get(name) == "temporal_without" for name in correlation.get("rules", ()))
    return correlation.get("type") in COUNTING and not absent


def transactions(sequence: Path, counts: dict[str, Any]) -> Iterator[Wire]:
    """Its events, each that stands for several told so many times."""
    for line in sequence.read_text(encoding="utf-8").splitlines():
        event = json.loads(line)
        count = event.pop("nigrani.count", 1) if counts["type"] == "event_count" else 1
        yield from (dict(event) for _ in range(count))


def those_counted(rules: RuleSet, document: dict[str, Any], events: list[Wire]) -> Iterator[Wire]:
    """Those of its events that, told often enough, are enough."""
    counts = document["correlation"]
    field = counts["condition"].get("field", "event.id")
    often = limit(counts)
    judged: dict[str, bool] = {}
    for event in events:
        like = json.dumps(event | {"@timestamp": "", "event.id": "", "event.sequence": 0, field: ""})
        if like not in judged:
            same = timed([event | {field: another(event[field], number)} for number in range(often)], MOMENT)
            judged[like] = tells(rules, document["id"], same)
        if judged[like]:
            yield event


def tells(rules: RuleSet, rule: str, events: Iterable[Wire]) -> bool:
    """Whether the rule matches anywhere in the sequence."""
    empty = rules.empty()
    found = False
    for event in events:
        line = json.dumps(event).encode()
        extra = msgspec.json.decode(line, type=Extra)
        found |= any(hit.rule.id == rule for hit in empty.match(decode(line), extra))
    return found


def timed(events: list[Wire], apart: timedelta) -> list[Wire]:
    """The same events, each so long after the one before."""
    return [
        event | {"@timestamp": (START + apart * number).isoformat(timespec="milliseconds").replace("+00:00", "Z")}
        for number, event in enumerate(events)
    ]


def another(value: object, number: int) -> object:
    """Another value of its kind."""
    return value + number if isinstance(value, int) else f"{value}-{number}"


CASES = list(cases())
NAMES = {rule.id: f"{rule.path.parent.name}/{rule.path.stem}" for case in CASES for rule in case.rules.rules}
EACH = pytest.mark.parametrize("case", CASES, ids=lambda case: NAMES[case.rule])


def test_every_rule_that_counts_is_among_them() -> None:
    files = [list(yaml.safe_load_all(file.read_text(encoding="utf-8"))) for file in RULES.rglob("*.yml")]
    counting = [one["id"] for documents in files for one in documents if counts_events(one, documents)]
    assert {case.rule for case in CASES} == set(counting)
    assert len(counting) > 60


@EACH
def test_enough_is_enough_and_one_fewer_is_not(case: Case) -> None:
    span = duration(str(case.counts["timespan"]))
    events = timed(case.enough, timedelta(seconds=span * 0.9 / case.limit))
    assert len(events) == case.limit
    assert tells(case.rules, case.rule, events)
    assert not tells(case.rules, case.rule, events[:-1])


@EACH
def test_the_same_spread_over_time_is_not_told(case: Case) -> None:
    span = duration(str(case.counts["timespan"]))
    apart = timedelta(seconds=span / (case.limit - 1) + 1)
    assert not tells(case.rules, case.rule, timed(case.enough, apart))


@EACH
def test_the_same_spread_over_what_it_groups_by_is_not_told(case: Case) -> None:
    events = timed(case.enough, MOMENT)
    for field in case.counts["group-by"]:
        spread = [event | {field: another(event.get(field, ""), number)} for number, event in enumerate(events)]
        assert not tells(case.rules, case.rule, spread)
