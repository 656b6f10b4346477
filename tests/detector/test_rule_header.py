"""What a rule says about itself, and what is wrong with it, line by line."""

from pathlib import Path

import pytest

from detector.rule import RefusedError
from detector.rule_file import documents
from detector.rule_header import dataset_of, header_faults, rule_of

GOOD = """\
title: A rule
id: 9f1cf1a4-6ad0-4b8f-9d55-1a1c3c6e2a01
name: a_rule
status: test
level: high
description: What it is for.
author: nigrani
date: 2026-01-31
references: [https://example.org]
falsepositives: [none]
tags: [attack.discovery, attack.t1046, attack.t1048.003, atlas.aml-t0024, atlas.aml.t0024.002, cve.2026-1]
logsource: {service: dicom}
detection: {sel: {event.action: c-find}, condition: sel}
custom:
  risk: 33
  runbook: a-rule
  first_steps: [Look.]
  title_detail: of a device
  matrix: ATT&CK v19
  unit: queries
"""


def faults(text: str) -> list[str]:
    found, wrong = documents(Path("x.yml"), text.encode())
    assert not wrong
    return [f"{fault.line}: {fault.message}; {fault.remedy}" for fault in header_faults(found[0])]


def test_a_good_header_is_read_whole() -> None:
    document = documents(Path("x.yml"), GOOD.encode())[0][0]
    assert not header_faults(document)
    rule = rule_of(document, ("dicom.association",))
    assert rule.id == "9f1cf1a4-6ad0-4b8f-9d55-1a1c3c6e2a01"
    assert (rule.title, rule.name, rule.status, rule.level) == ("A rule", "a_rule", "test", "high")
    assert (rule.description, rule.references, rule.false_positives) == (
        "What it is for.",
        ("https://example.org",),
        ("none",),
    )
    assert rule.attack == ("T1046", "T1048.003")
    assert rule.atlas == ("AML.T0024", "AML.T0024.002")
    assert (rule.risk, rule.runbook, rule.first_steps) == (33, "a-rule", ("Look.",))
    assert (rule.title_detail, rule.matrix, rule.unit) == ("of a device", "ATT&CK v19", "queries")
    assert (rule.datasets, rule.path) == (("dicom.association",), Path("x.yml"))


def test_risk_follows_the_level_where_it_is_not_given() -> None:
    document = documents(Path("x.yml"), b"title: x\nlevel: critical\n")[0][0]
    assert rule_of(document, ()).risk == 90


def test_a_bare_on_is_the_stage_on() -> None:
    document = documents(Path("x.yml"), b"title: x\ncustom: {stage: on}\n")[0][0]
    assert header_faults(document) == []
    assert rule_of(document, ()).stage == "on"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("titel: x", "2: unknown key `titel`; did you mean `title`?"),
        ("action: global", "2: unknown key `action`"),
        ("id: 7", "2: `id` is not text"),
        ("id: seven", "2: `id` is not a UUID"),
        ("level: 3", "2: `level` is not text"),
        ("level: severe", "2: `severe` is no level; use one of: informational, low"),
        ("status: new", "2: `new` is no status"),
        ("description: ''", "2: `description` is not text"),
        ("author: [a]", "2: `author` is not text"),
        ("references: x", "2: `references` is not a list of texts"),
        ("falsepositives: [1]", "2: `falsepositives` is not a list of texts"),
        ("tags: x", "2: `tags` is not a list of texts"),
        ("tags: [attack.t1]", "2: `attack.t1` is no ATT&CK or ATLAS tag"),
        ("tags: [atlas.aml.0024]", "2: `atlas.aml.0024` is no ATT&CK or ATLAS tag"),
        ("tags:\n  - attack.t1046\n  - loose", "4: `loose` is no ATT&CK or ATLAS tag"),
        ("date: 7", "2: `date` is not a date"),
        ("logsource: x", "2: `logsource` is not a map"),
        ("detection: []", "2: `detection` is not a map"),
        ("custom: x", "2: `custom` is not a map"),
        ("custom:\n  risk: 101", "3: `custom.risk` cannot be `101`"),
        ("custom:\n  risk: true", "3: `custom.risk` cannot be `true`, as which YAML reads a bare on or yes"),
        ("custom:\n  runbook: Not/A/Name", "3: `custom.runbook` cannot be `Not/A/Name`"),
        ("custom:\n  first_steps: look", "3: `custom.first_steps` cannot be `look`"),
        ("custom:\n  first_steps:\n    - a: b", "3: `custom.first_steps` cannot be such a list"),
        ("custom:\n  unit: 3\n", "3: `custom.unit` cannot be `3`"),
        ("custom:\n  runbok: x", "3: unknown key `custom.runbok`; did you mean `runbook`?"),
    ],
)
def test_bad_headers(line: str, said: str) -> None:
    found = faults(f"title: x\n{line}\n")
    assert len(found) == 1
    assert found[0].startswith(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id: 9f1cf1a4-6ad0-4b8f-9d55-1a1c3c6e2a01", "1: the rule has no title"),
        ("title: ''", "1: `title` is not text"),
        (f"title: {'x' * 257}", "1: the title is longer"),
    ],
)
def test_bad_titles(text: str, said: str) -> None:
    assert faults(text)[0].startswith(said)


def test_faults_are_told_at_once_and_in_order_but_not_without_end() -> None:
    assert [line[:2] for line in faults("title: x\nlevel: 3\nid: 4\ntags: 5\n")] == ["2:", "3:", "4:"]
    assert len(faults("title: x\n" + "".join(f"k{n}: 1\n" for n in range(5000)))) == 50


def test_logsource() -> None:
    assert dataset_of({"service": "flow"}) == "network.flow"
    assert dataset_of({"product": "healthcare", "service": "ai_inference"}) == "ai.inference"


@pytest.mark.parametrize(
    ("logsource", "message"),
    [
        ({}, "unknown service `None`"),
        ({"service": "dicm"}, "unknown service `dicm`"),
        ({"service": ["dicom"]}, "unknown service"),
        ({"service": "dicom", "product": "windows"}, "unknown product `windows`"),
        ({"service": "dicom", "category": "x"}, "logsource cannot have `category`"),
    ],
)
def test_bad_logsources(logsource: dict[str, object], message: str) -> None:
    with pytest.raises(RefusedError) as caught:
        dataset_of(logsource)
    assert caught.value.message.startswith(message)
    assert caught.value.remedy
