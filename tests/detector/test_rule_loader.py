"""Documents joined across files: references, filters, ids; with every fault of every file at once."""

from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detector.rule_loader import Loader

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
        ([rule(detection="")], ["0.yml:1: a rule has one of detection, correlation and filter"]),
        ([rule(logsource="")], ["0.yml:1: unknown service `None`"]),
        ([rule(date="date: today")], ["0.yml:6: Rule date 'today' is invalid"]),
        ([rule(related="related: x")], ["0.yml:6: Sigma rule related must be a list"]),
        ([rule(related="related: [{id: 3, type: x}]")], ["0.yml:6: Sigma related identifier must be"]),
        ([rule(detection="detection: {sel: {event.action: x}, condition: sol}")], ["0.yml:5: Detection 'sol' not"]),
        ([correlation()], ["0.yml:6: no sound rule of that service is called `base`"]),
        ([correlation(), rule(name="name: bass")], ["0.yml:6: no sound rule of that service is called `base`"]),
        ([correlation().replace("host.id", "hl7.ack"), rule(name="name: base")], ["0.yml:7: unknown field `hl7.ack`"]),
        ([suppression()], ["0.yml:4: no sound rule of that service is called `base`"]),
        (
            [suppression(), rule(name="name: base", logsource="logsource: {service: fhir}")],
            ["0.yml:4: no sound rule of that service is called `base`"],
        ),
        ([suppression().replace("not sel", "not sal"), rule(name="name: base")], ["0.yml:4: Detection 'sal' not"]),
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
