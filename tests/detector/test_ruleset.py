"""Rule sets as the detector uses them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from detector.rule import Extra, RuleFaults
from detector.rule_field import SERVICES
from detector.ruleset import NO_HITS, RuleSet
from nigrani.stream.events import DATASETS
from nigrani.stream.events.dicom import DicomAssociation
from nigrani.stream.events.fhir import FhirInteraction

START = datetime(2026, 1, 1, tzinfo=UTC)

SIMPLE = """\
title: Query
id: 9f1cf1a4-6ad0-4b8f-9d55-1a1c3c6e2a01
name: query
level: low
logsource: {product: healthcare, service: dicom}
detection:
  sel: {event.action: c-find}
  condition: sel
"""
BURST = """\
title: Burst
id: 9f1cf1a4-6ad0-4b8f-9d55-1a1c3c6e2a02
level: high
correlation:
  type: event_count
  rules: [query]
  group-by: [host.id]
  timespan: 1m
  condition: {gt: 2}
custom: {unit: queries}
"""
NEW = """\
title: New
id: 9f1cf1a4-6ad0-4b8f-9d55-1a1c3c6e2a03
level: medium
logsource: {service: dicom}
detection:
  sel: {nigrani.new: calling_ae}
  condition: sel
"""
FILTER = """\
title: The research workstation queries all day
logsource: {service: dicom}
filter:
  rules: [query]
  research: {dicom.calling_ae: RESEARCH*}
  condition: not research
"""


def association(second: float = 0, action: str = "c-find", **values: object) -> DicomAssociation:
    return DicomAssociation(
        timestamp=START + timedelta(seconds=second),
        id=f"e{second:g}",
        sequence=0,
        agent="a",
        host="h",
        source="s",
        destination="d",
        action=action,
        **values,  # type: ignore[arg-type]
    )


def load(folder: Path, *texts: str, skip_bad: bool = False) -> RuleSet:
    for number, text in enumerate(texts):
        (folder / f"{number}.yml").write_text(text)
    return RuleSet.load(folder, skip_bad=skip_bad)


def test_a_rule_of_one_event(tmp_path: Path) -> None:
    rules = load(tmp_path, SIMPLE)
    hit = rules.match(association(5))[0]
    assert hit.rule is rules.rules[0]
    assert (hit.host, hit.when, hit.first) == ("h", START + timedelta(seconds=5), START + timedelta(seconds=5))
    assert hit.because == (("event.action", "c-find"),)
    assert hit.event_ids == ("e5",)
    assert (hit.count, hit.threshold, hit.group) == (None, "", ())


def test_nothing_is_one_shared_tuple(tmp_path: Path) -> None:
    rules = load(tmp_path, SIMPLE)
    other = FhirInteraction(
        timestamp=START, id="e", sequence=0, agent="a", host="h", source="s", destination="d", interaction="read"
    )
    assert rules.match(other) is NO_HITS
    assert rules.match(association(action="release")) is NO_HITS


def test_a_correlation_speaks_for_its_base(tmp_path: Path) -> None:
    rules = load(tmp_path, f"{SIMPLE}---\n{BURST}")
    assert [rule.title for rule in rules.rules] == ["Burst"]
    found = [hit for n in range(5) for hit in rules.match(association(n))]
    assert [hit.threshold for hit in found] == ["3 queries within 60 s (rule: more than 2)"]
    assert found[0].because == (("event.action", "c-find"),)
    assert found[0].event_ids == ("e0", "e1", "e2")
    assert found[0].group == (("host.id", "h"),)


def test_generate(tmp_path: Path) -> None:
    rules = load(tmp_path, SIMPLE, BURST.replace("timespan", "generate: true\n  timespan"))
    titles = [[hit.rule.title for hit in rules.match(association(n))] for n in range(4)]
    assert titles == [["Query"], ["Query"], ["Query", "Burst"], ["Query"]]


def test_new_facts_come_beside_the_event(tmp_path: Path) -> None:
    rules = load(tmp_path, NEW)
    assert not rules.match(association())
    assert rules.match(association(), Extra(new=("calling_ae",)))[0].because == (("nigrani.new", ("calling_ae",)),)


def test_filters_suppress(tmp_path: Path) -> None:
    rules = load(tmp_path, f"{SIMPLE}---\n{BURST}", FILTER, NEW)
    assert not [hit for n in range(9) for hit in rules.match(association(n, calling_ae="RESEARCH1"))]
    assert [hit for n in range(9) for hit in rules.match(association(n, calling_ae="CT1"))]
    assert rules.match(association(calling_ae="RESEARCH1"), Extra(new=("calling_ae",)))


def test_a_selection_that_a_filter_does_not_use_is_no_concern_of_its_rules(tmp_path: Path) -> None:
    rules = load(tmp_path, SIMPLE, FILTER.replace("condition", "spare: {dicom.calling_ae: X}\n  condition"))
    assert not rules.warnings


def test_filters_of_any_rule(tmp_path: Path) -> None:
    rules = load(tmp_path, SIMPLE, FILTER.replace("[query]", "any"), NEW)
    extra = Extra(new=("calling_ae",))
    assert not rules.match(association(calling_ae="RESEARCH1"), extra)
    assert len(rules.match(association(calling_ae="CT1"), extra)) == 2


def test_faults_are_raised_together(tmp_path: Path) -> None:
    with pytest.raises(RuleFaults) as caught:
        load(tmp_path, SIMPLE.replace("low", "lo"), NEW.replace("calling_ae", "calling"), BURST)
    assert [fault.line for fault in caught.value.faults] == [4, 6, 6]
    assert str(tmp_path / "0.yml") in str(caught.value)


def test_skip_bad_keeps_the_good(tmp_path: Path) -> None:
    rules = load(tmp_path, SIMPLE, NEW.replace("calling_ae", "calling"), "x", skip_bad=True)
    assert [rule.title for rule in rules.rules] == ["Query"]
    assert [fault.path.name for fault in rules.faults] == ["1.yml", "2.yml"]
    assert rules.match(association())


def test_several_folders(tmp_path: Path) -> None:
    for name, text in (("shipped", SIMPLE), ("site", NEW)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.yml").write_text(text)
    rules = RuleSet.load(tmp_path / "shipped", tmp_path / "site")
    assert len(rules.rules) == 2
    assert len(rules.fingerprint) == 64


def test_no_rules_at_all(tmp_path: Path) -> None:
    rules = RuleSet.load(tmp_path)
    assert not rules.rules
    assert rules.match(association()) is NO_HITS


def test_what_was_forgotten_is_told(tmp_path: Path) -> None:
    rules = load(tmp_path, f"{SIMPLE}---\n{BURST}")
    rules.match(association(1000))
    rules.match(association(1))
    forgotten = rules.evicted["9f1cf1a4-6ad0-4b8f-9d55-1a1c3c6e2a02"]
    assert (forgotten.groups, forgotten.values, forgotten.late) == (0, 0, 1)


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_dataset_can_have_rules(tmp_path: Path, dataset: str) -> None:
    service = next(service for service, name in SERVICES.items() if name == dataset)
    text = SIMPLE.replace("service: dicom", f"service: {service}").replace("event.action: c-find", "host.id: h")
    assert load(tmp_path, text).rules[0].datasets == (dataset,)


def test_replaying_gives_the_same_hits(tmp_path: Path) -> None:
    events = [association(n * 7 % 100, calling_ae=f"AE{n % 3}") for n in range(200)]
    first, second = load(tmp_path, SIMPLE, BURST), load(tmp_path, SIMPLE, BURST)
    assert [first.match(event) for event in events] == [second.match(event) for event in events]
