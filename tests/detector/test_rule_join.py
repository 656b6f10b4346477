"""Rules and the correlations that count them: nested, in a circle, in stages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from detector.rule_join import MAX_NESTING, Join
from detector.ruleset import RuleSet
from nigrani.stream.events import DicomAssociation
from tests.detector.rule_files import counting, load, rule, told

START = datetime(2026, 1, 1, tzinfo=UTC)
BASE = rule(id=None, level=None)


def find(second: float, host: str = "h", action: str = "c-find", **values: Any) -> DicomAssociation:
    when = START + timedelta(seconds=second)
    plain = {"source": "s", "destination": "d", "sequence": 0, "agent": "a"}
    return DicomAssociation(timestamp=when, id=f"e{second}", host=host, action=action, **plain, **values)


def titles(rules: RuleSet, *events: DicomAssociation) -> list[str]:
    return [hit.rule.name for event in events for hit in rules.match(event)]


def test_a_correlation_of_correlations(tmp_path: Path) -> None:
    several = counting(
        "several", rules=["burst"], group_by=None, type="value_count", condition={"gte": 3, "field": "host.id"}
    )
    loader = load(tmp_path, BASE, counting(), several)
    assert not loader.faults
    assert [one.name for one in loader.rules] == ["several"], "what is counted does not alert"
    events = [find(second, host) for host in "abc" for second in range(4)]
    assert titles(RuleSet(loader), *events) == ["several"]


def test_generate_lets_a_counted_correlation_alert(tmp_path: Path) -> None:
    several = counting("several", rules=["burst"], group_by=None, condition={"gte": 2}, generate=True)
    loader = load(tmp_path, several, counting(), BASE)
    assert titles(RuleSet(loader), *[find(second, host) for host in "ab" for second in range(3)]) == [
        "burst",
        "burst",
        "several",
    ]


def test_circles_are_refused_each_member_at_its_line(tmp_path: Path) -> None:
    loader = load(tmp_path, counting("a", rules=["b"]), counting("b", rules=["c"]), counting("c", rules=["a"]))
    assert len(loader.faults) == 3
    assert all("count each other in a circle" in fault.message for fault in loader.faults)
    assert not loader.rules
    assert "in a circle: a → a" in told(load(tmp_path, counting("a", rules=["a"])))[0]


def test_what_stands_on_a_circle_is_refused_too(tmp_path: Path) -> None:
    loader = load(tmp_path, counting("a", rules=["a"]), counting("b", rules=["a"]))
    assert [message.partition(":")[0] for message in told(loader)] == [
        "correlations count each other in a circle",
        "no sound rule is called `a`",
    ]


def test_nesting_is_bounded(tmp_path: Path) -> None:
    tower = [counting(f"c{n}", rules=[f"c{n - 1}" if n else "query"]) for n in range(MAX_NESTING)]
    assert not load(tmp_path, BASE, *tower).faults
    tower.append(counting("top", rules=[f"c{MAX_NESTING - 1}"]))
    assert "over 8 correlations count each other" in told(load(tmp_path, BASE, *tower))[0]
    tower = [counting(f"c{n}", rules=[f"c{n - 1}" if n else "query"]) for n in range(150)]
    assert len(told(load(tmp_path, BASE, *tower))) == 150 - MAX_NESTING, "and no recursion without end"


def test_temporal_over_two_rules_in_their_order(tmp_path: Path) -> None:
    move = rule("move", id=None, level=None, detection={"sel": {"event.action": "c-move"}, "condition": "sel"})
    chain = counting("theft", type="temporal_ordered", rules=["query", "move"], condition=None)
    rules = RuleSet(load(tmp_path, BASE, move, chain))
    assert titles(rules, find(1, action="c-move"), find(2)) == []
    [hit] = rules.match(find(3, action="c-move"))
    assert hit.threshold == "“Title of query”, then “Title of move”, within 60 s"
    assert hit.because == (("event.action", "c-move"),)
    assert hit.event_ids == ("e1", "e2", "e3")
    assert titles(rules, find(100, action="c-move")) == []


def test_aliases_group_what_each_rule_calls_otherwise(tmp_path: Path) -> None:
    move = rule("move", id=None, level=None, detection={"sel": {"event.action": "c-move"}, "condition": "sel"})
    aliases = {"archive": {"query": "destination.address", "move": "source.address"}}
    chain = counting(
        "relay", type="temporal", rules=["query", "move"], condition=None, group_by=["archive"], aliases=aliases
    )
    rules = RuleSet(load(tmp_path, BASE, move, chain))
    relayed = DicomAssociation(
        timestamp=START, id="m", sequence=0, agent="a", host="d", source="d", destination="x", action="c-move"
    )
    assert titles(rules, find(0), relayed) == ["relay"]
    other = DicomAssociation(
        timestamp=START, id="m", sequence=0, agent="a", host="y", source="y", destination="x", action="c-move"
    )
    assert titles(RuleSet(load(tmp_path, BASE, move, chain)), find(0), other) == []


@pytest.mark.parametrize(
    ("kind", "condition", "contexts", "fires"),
    [
        ("value_sum", {"gt": 9}, [3, 3, 3], False),
        ("value_sum", {"gt": 9}, [3, 3, 4], True),
        ("value_avg", {"gte": 4}, [1, 3, 9], True),
        ("value_median", {"gt": 3.5}, [1, 3, 9], False),
        ("value_percentile", {"gte": 9, "percentile": 90}, [1, 3, 9], True),
    ],
)
def test_numbers(tmp_path: Path, kind: str, condition: dict[str, Any], contexts: list[int], fires: bool) -> None:
    burst = counting(type=kind, condition={**condition, "field": "dicom.contexts"})
    rules = RuleSet(load(tmp_path, BASE, burst))
    assert (titles(rules, *[find(n, contexts=count) for n, count in enumerate(contexts)]) == ["burst"]) is fires


class TestStages:
    def test_a_rule_in_stage_test_is_checked_and_not_evaluated(self, tmp_path: Path) -> None:
        rules = RuleSet(load(tmp_path, rule(custom={"stage": "test"}), rule("other")))
        assert titles(rules, find(1)) == ["other"]
        assert {one.name for one in rules.rules} == {"query", "other"}
        assert [one.name for one in rules.in_force] == ["other"]
        assert told(load(tmp_path, rule(custom={"stage": "test"}, level="severe"))) == ["`severe` is no level"]

    def test_what_stands_only_for_it_is_not_evaluated_either(self, tmp_path: Path) -> None:
        loader = load(tmp_path, BASE, counting(custom={"stage": "test"}))
        assert loader.join.entries == {"dicom.association": []}
        assert titles(RuleSet(loader), *[find(n) for n in range(9)]) == []

    def test_what_others_count_is_evaluated_for_them(self, tmp_path: Path) -> None:
        several = counting("several", rules=["burst"], group_by=None, condition={"gte": 1})
        loader = load(tmp_path, BASE, counting(custom={"stage": "test"}), several)
        assert titles(RuleSet(loader), *[find(n) for n in range(4)]) == ["several"]

    def test_unless_it_is_asked_for(self, tmp_path: Path) -> None:
        loader = load(tmp_path, rule(custom={"stage": "test"}))
        assert titles(RuleSet(loader, Join(loader.drafts, staged=False)), find(1)) == ["query"]


def test_fields_of_a_suppression_are_there_in_all_its_events(tmp_path: Path) -> None:
    loader = load(tmp_path, rule(custom={"suppress": {"by": ["host.id", "dicom.abstract_syntaxes"], "for": "1h"}}))
    assert told(loader) == ["`dicom.abstract_syntaxes` is no single value of the event"]
    flow = rule(
        "flow",
        id=None,
        level=None,
        logsource={"service": "flow"},
        detection={"s": {"network.type": "arp"}, "condition": "s"},
    )
    both = counting("both", rules=["query", "flow"], custom={"suppress": {"by": ["dicom.calling_ae"], "for": "1h"}})
    assert told(load(tmp_path, BASE, flow, both)) == ["unknown field `dicom.calling_ae`"]
