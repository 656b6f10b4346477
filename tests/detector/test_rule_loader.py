"""Documents joined across files: references, filters, ids; with every fault of every file at once."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detector import rule_loader
from detector.rule_loader import Loader
from detector.ruleset import RuleSet

if TYPE_CHECKING:
    from tests.detector.conftest import Maker

Load = Callable[..., Loader]


def rule(**changes: str) -> str:
    """A sound rule, with lines changed or, where empty, left out."""
    lines = {
        "title": "title: t",
        "id": f"id: {uuid4()}",
        "level": "level: low",
        "logsource": "logsource: {service: dicom}",
        "detection": "detection: {sel: {event.action: c-find}, condition: sel}",
    }
    return "".join(f"{line}\n" for line in (lines | changes).values() if line)


CORRELATION = """\
correlation:
  type: event_count
  rules: [base]
  group-by: [host.id]
  timespan: 1m
  condition: {gt: 1}"""


def correlation(**changes: str) -> str:
    return rule(logsource="", detection="", **({"correlation": CORRELATION} | changes))


def suppression(**changes: str) -> str:
    block = "filter: {rules: [base], sel: {dicom.calling_ae: CT1}, condition: not sel}"
    return rule(detection="", level="", **({"filter": block} | changes))


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def load(*texts: str) -> Loader:
        for number, text in enumerate(texts):
            (tmp_path / f"{number}.yml").write_text(text)
        return Loader([tmp_path])

    return load


def told(loader: Loader) -> list[str]:
    return [f"{fault.path.name}:{fault.line}: {fault.message}" for fault in loader.faults]


def test_references_cross_files_in_any_order(load: Load) -> None:
    loader = load(correlation(), rule(name="name: base"))
    assert not loader.faults
    assert [found.path.name for found in loader.rules] == ["0.yml"]
    assert loader.rules[0].datasets == ("dicom.association",)


def test_references_by_id(load: Load) -> None:
    base = str(uuid4())
    block = f"correlation:\n  type: event_count\n  rules: ['{base}']\n  timespan: 1m\n  condition: {{gt: 1}}"
    loader = load(correlation(correlation=block), rule(id=f"id: {base}"))
    assert not loader.faults
    assert len(loader.rules) == 1


def test_generate_lets_the_base_alert(load: Load) -> None:
    block = correlation().replace("timespan: 1m", "timespan: 1m\n  generate: true")
    assert len(load(block, rule(name="name: base")).rules) == 2


def test_a_base_that_alerts_needs_id_and_level(load: Load) -> None:
    block = correlation().replace("timespan: 1m", "timespan: 1m\n  generate: true")
    base = rule(name="name: base", id="", level="")
    assert told(load(block, base))[-2:] == ["1.yml:1: the rule has no id", "1.yml:1: the rule has no level"]
    assert not load(correlation(), base).faults


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (rule(level="level: loud", detection="detection: {sel: {dicom.calling_at: x}, condition: sel}"), "unknown field"),
        (correlation(level="level: loud", correlation=CORRELATION.replace("event_count", "event_sum")), "event_sum"),
        ("title: t\nowner: x\noverride: {rule: r, risc: 1}\n", "risc"),
    ],
    ids=["rule", "correlation", "override"],
)
def test_a_faulty_header_hides_no_fault_below_it(load: Load, text: str, fault: str) -> None:
    faults = told(load(text, rule(name="name: base")))
    assert len(faults) >= 2
    assert any(fault in one for one in faults)


def test_a_base_keeps_silent_though_its_correlation_is_faulty(load: Load) -> None:
    loader = load(correlation().replace("gt: 1", "gt: x"), rule(name="name: base"))
    assert len(loader.faults) == 1
    assert not loader.rules


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([rule(id="")], ["0.yml:1: the rule has no id"]),
        ([rule(level="")], ["0.yml:1: the rule has no level"]),
        ([correlation(id="")], ["0.yml:5: no sound rule", "0.yml:1: the rule has no id"]),
        ([rule(detection="")], ["0.yml:1: a rule has one of detection, correlation, filter and override"]),
        ([rule(logsource="")], ["0.yml:1: unknown service `None`"]),
        ([rule(date="date: today")], ["0.yml:6: Rule date 'today' is invalid"]),
        ([rule(related="related: x")], ["0.yml:6: Sigma rule related must be a list"]),
        ([rule(related="related: [{id: 3, type: x}]")], ["0.yml:6: Sigma related identifier must be"]),
        ([rule(detection="detection: {sel: {event.action: x}, condition: sol}")], ["0.yml:5: there is no selection `sol`"]),
        ([correlation()], ["0.yml:6: no sound rule is called `base`"]),
        ([correlation(), rule(name="name: bass")], ["0.yml:6: no sound rule is called `base`"]),
        ([correlation().replace("host.id", "hl7.ack"), rule(name="name: base")], ["0.yml:7: unknown field `hl7.ack`"]),
        ([suppression()], ["0.yml:4: no sound rule of that service is called `base`"]),
        (
            [suppression(), rule(name="name: base", logsource="logsource: {service: fhir}")],
            ["0.yml:4: no sound rule of that service is called `base`"],
        ),
        ([suppression().replace("not sel", "not sal"), rule(name="name: base")], ["0.yml:4: there is no selection `sal`"]),
        ([suppression().replace("dicom.calling_ae", "x"), rule(name="name: base")], ["0.yml:4: unknown field `x`"]),
        ([suppression(filter="filter: {sel: {event.action: x}, condition: sel}")], ["0.yml:4: Sigma filter must have"]),
    ],
)
def test_faults(load: Load, texts: list[str], expected: list[str]) -> None:
    found = told(load(*texts))
    for line in expected:
        assert any(one.startswith(line) for one in found), found


def test_taken_ids_and_names_tell_where(load: Load) -> None:
    same = str(uuid4())
    loader = load(rule(id=f"id: {same}", name="name: a"), rule(id=f"id: '{same.upper()}'"), rule(name="name: a"))
    assert [line.partition(" is taken by ")[0] for line in told(loader)] == [
        f"1.yml:2: the id `{same}`",
        "2.yml:6: the name `a`",
    ]
    assert "0.yml:2" in loader.faults[0].message
    assert len(loader.rules) == 1


def test_all_faults_of_all_files_are_told(load: Load) -> None:
    loader = load(rule(level="level: x"), "a: [", rule(id="id: x"), rule())
    assert [line[:8] for line in told(loader)] == ["0.yml:3:", "1.yml:2:", "2.yml:2:"]
    assert len(loader.rules) == 1


def test_warnings(load: Load) -> None:
    loader = load(
        rule(detection="detection:\n  sel: {event.action: x}\n  spare: {event.action: y}\n  condition: sel"),
        rule(detection="detection: {sel: {source.address|cidr: 10.0.0.0/8}, condition: sel}"),
    )
    assert not loader.faults
    assert [fault.line for fault in loader.warnings] == [7, 5]
    assert "`spare`" in loader.warnings[0].message


def test_missing_folder(tmp_path: Path) -> None:
    loader = Loader([tmp_path / "gone"])
    assert "no such folder" in loader.faults[0].message


def test_unreadable_file(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("detector.rule_loader.read_bytes", refuse)
    assert told(load(rule())) == ["0.yml:0: cannot be read: Permission denied"]


def test_fingerprint_follows_names_and_contents_only(tmp_path: Path) -> None:
    def fingerprint(folder: str, name: str, text: str) -> str:
        path = tmp_path / folder / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
        return Loader([tmp_path / folder]).fingerprint

    text = rule()
    first = fingerprint("a", "x.yml", text)
    assert first == fingerprint("b", "x.yml", text)
    assert first != fingerprint("c", "y.yml", text)
    assert first != fingerprint("d", "x.yml", text + "\n")


class Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        return True


KEYS = ["title", "id", "name", "level", "logsource", "detection", "correlation", "filter", "custom", "date", "related"]
VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.sampled_from(["sel", "base", "dicom", "event_count", "1m", "c-*", "1 of them", "x|y", "", "%a%"]),
    ),
    lambda part: st.one_of(
        st.lists(part, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["sel", "condition", "service", "event.action|re", "dicom.contexts|gt", "type", "rules", "gt", "|all"]
            ),
            part,
            max_size=4,
        ),
    ),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=st.dictionaries(st.sampled_from(KEYS), VALUES), sound=st.sets(st.sampled_from(KEYS)))
def test_any_document_is_a_rule_or_faults(tmp_path: Path, document: dict[str, object], sound: set[str]) -> None:
    good = yaml.safe_load(rule())
    mixed = document | {key: good[key] for key in sound & good.keys()}
    (tmp_path / "x.yml").write_text(yaml.dump(mixed, Dumper=Plain))
    loader = Loader([tmp_path])
    assert bool(loader.faults) or bool(loader.rules) or bool(loader.entries) or "filter" in mixed


class TestHostile:
    """Whatever a file holds, it is refused soon, at its line, and the others are read."""

    BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{name}: &{name} [{', '.join([f'*{chr(ord(name) - 1)}'] * 9)}]\n" for name in "bcdefghij"
    )

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("title: " + "x" * (1 << 20), "the file is larger than 262144 bytes"),
            (rule(description="description: " + "x" * (1 << 20)), "the file is larger than 262144 bytes"),
            (BOMB, "YAML anchors and aliases are not allowed in a rule"),
            (rule(custom="custom: {tests: &t [*t]}"), "YAML anchors and aliases are not allowed in a rule"),
            (rule(fields="fields: &f [a]"), "YAML anchors and aliases are not allowed in a rule"),
            ("a: " + "[" * 100_000, "lists and maps nest deeper than 24"),
            (
                rule(custom="custom: !!python/object:os.system {}"),
                "YAML tag tag:yaml.org,2002:python/object:os.system is not",
            ),
            (
                rule(detection="detection: {s: {dicom.calling_ae|re: '(a{1000}){1000}'}, condition: s}"),
                "RE2 refuses the pattern",
            ),
            (rule(detection="detection: {s: {dicom.calling_ae|re: '(a)\\1'}, condition: s}"), "RE2 refuses the pattern"),
            (rule(detection="detection: {s: {dicom.caling_ae: x}, condition: s}"), "unknown field `dicom.caling_ae`"),
            (
                rule(detection="detection: {s: {event.action: x}, condition: " + "not " * 500 + "s}"),
                "the condition is longer",
            ),
            (
                correlation(correlation=CORRELATION.replace("base", "self"), name="name: self"),
                "correlations count each other in",
            ),
        ],
        ids=[
            "a long title",
            "a long description",
            "a bomb",
            "an alias of itself",
            "an anchor",
            "deep lists",
            "a tag",
            "repetitions",
            "a back-reference",
            "a field",
            "a long condition",
            "a circle",
        ],
    )
    def test_it_is_refused_and_the_others_are_read(self, load: Load, text: str, said: str) -> None:
        began = time.process_time()
        loader = load(text, rule(title="title: good"))
        assert time.process_time() - began < 2
        assert loader.faults
        assert loader.faults[0].path.name == "0.yml"
        assert loader.faults[0].message.startswith(said)
        assert [found.title for found in loader.rules] == ["good"]

    def test_the_nearest_name_is_the_remedy(self, load: Load) -> None:
        loader = load(rule(detection="detection: {s: {dicom.caling_ae: x}, condition: s}"))
        assert loader.faults[0].remedy == "did you mean `dicom.calling_ae`?"

    def test_a_pattern_of_death_runs_in_no_time(self, make: Maker, load: Load) -> None:
        loader = load(rule(detection="detection: {s: {dicom.calling_ae|re: '^(a+)+$'}, condition: s}"))
        rules = RuleSet(loader)
        event = make.dicom("c-find", calling_ae="a" * 60 + "!")
        began = time.process_time()
        assert not any(rules.match(event) for _ in range(1000))
        assert time.process_time() - began < 1

    def test_files_are_bounded(self, load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(rule_loader, "MAX_FILES", 2)
        loader = load(rule(), rule(), rule())
        assert told(loader)[0].endswith("there are over 2 rule files")
        assert len(loader.rules) == 2

    def test_a_file_that_goes_away_while_others_are_read(self, load: Load, tmp_path: Path) -> None:
        (tmp_path / "0gone.yml").symlink_to(tmp_path / "nowhere.yml")
        (tmp_path / "0loop.yml").symlink_to(tmp_path / "0loop.yml")
        os.mkfifo(tmp_path / "0pipe.yml")
        assert len(load(rule()).rules) == 1


def test_rules_that_expire_say_so(load: Load, tmp_path: Path) -> None:
    custom = "custom: {expires: 2026-03-10}"
    load(rule(custom=custom))
    for today, said in (
        (date(2026, 2, 1), []),
        (date(2026, 3, 1), ["the rule soon expires"]),
        (date(2026, 3, 11), ["the rule expired"]),
    ):
        warnings = [warning.message for warning in Loader([tmp_path], today=today).warnings]
        assert len(warnings) == len(said)
        assert all(warning.startswith(words) for warning, words in zip(warnings, said, strict=True))


def test_an_expired_filter_is_not_in_force(make: Maker, load: Load, tmp_path: Path) -> None:
    load(rule(name="name: base"), suppression(custom="custom: {expires: 2026-03-10}"))
    event = make.dicom("c-find", calling_ae="CT1")
    assert not RuleSet(Loader([tmp_path], today=date(2026, 3, 10))).match(event)
    assert RuleSet(Loader([tmp_path], today=date(2026, 3, 11))).match(event)
