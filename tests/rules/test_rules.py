"""Every shipped rule, on events that it must tell of and on events that it must not.

For the rule file `rules/<domain>/<rule>.yml`, `<domain>/<rule>/match/*.ndjson` and `<domain>/<rule>/nomatch/*.ndjson`
hold one sequence of events each. An event is as on the wire; `nigrani.new`, `p_value` and the devices' classes stand beside
its fields. In a match sequence each event must be told of where the file has no correlation, and some event where it has.
"""

import json
import re
from pathlib import Path

import msgspec
import pytest

from detector.matrix import MATRIX, techniques
from detector.rule import Extra, Hit, Rule
from detector.ruleset import RuleSet
from nigrani.stream.codec import decode

HERE = Path(__file__).parent
RULES = HERE.parents[1] / "rules"
FILES = sorted(RULES.rglob("*.yml"))
SEQUENCES = sorted(HERE.rglob("*.ndjson"))

DISCONNECTS = re.compile(r"\b(unplug|disconnect|power (it )?off|switch (it )?off|shut (it )?down|isolate)\b", re.IGNORECASE)


def hits(rules: RuleSet, sequence: Path) -> list[list[Hit]]:
    """What the rules say of each event in turn."""
    found = []
    for line in sequence.read_bytes().splitlines():
        wire = json.loads(line)
        found.append(list(rules.match(decode(line), msgspec.convert(wire, Extra))))
    return found


def rule_file(sequence: Path) -> Path:
    return RULES / sequence.parent.parent.relative_to(HERE).with_suffix(".yml")


def name(path: Path) -> str:
    return str(path.relative_to(HERE if HERE in path.parents else RULES).with_suffix(""))


@pytest.mark.parametrize("file", FILES, ids=name)
@pytest.mark.parametrize("kind", ["match", "nomatch"])
def test_every_rule_has_events(file: Path, kind: str) -> None:
    assert list((HERE / file.relative_to(RULES).with_suffix("") / kind).glob("*.ndjson"))


@pytest.mark.parametrize("sequence", SEQUENCES, ids=name)
def test_sequence(sequence: Path) -> None:
    rules = RuleSet.load(rule_file(sequence))
    found = hits(rules, sequence)
    if sequence.parent.name == "nomatch":
        assert not any(found)
    elif rules.evicted:
        assert any(found)
    else:
        assert all(found)


@pytest.mark.parametrize("file", FILES, ids=name)
def test_every_rule_of_a_file_is_shown_to_match(file: Path) -> None:
    told = set()
    for sequence in (HERE / file.relative_to(RULES).with_suffix("") / "match").glob("*.ndjson"):
        told |= {hit.rule.id for event in hits(RuleSet.load(file), sequence) for hit in event}
    assert told == {rule.id for rule in RuleSet.load(file).rules}


def test_the_shipped_rules_load_together_without_a_warning() -> None:
    rules = RuleSet.load(RULES)
    assert len(rules.rules) >= len(FILES)
    assert not rules.warnings


@pytest.mark.parametrize("rule", RuleSet.load(RULES).rules, ids=lambda rule: rule.title)
def test_a_rule_says_all_that_its_reader_needs(rule: Rule) -> None:
    assert rule.description
    assert rule.status
    assert rule.references
    assert rule.false_positives
    assert rule.attack or rule.atlas
    assert rule.matrix
    assert rule.runbook
    assert rule.first_steps
    assert not DISCONNECTS.search(" ".join(rule.first_steps))


@pytest.mark.parametrize("rule", RuleSet.load(RULES).rules, ids=lambda rule: rule.title)
def test_a_rule_is_tagged_with_the_tactics_of_its_techniques(rule: Rule) -> None:
    tagged = {tag.removeprefix("attack.") for tag in rule.tags if re.fullmatch(r"attack\.[a-z-]+", tag)}
    known = [techniques("attack")[uid] for uid in rule.attack]
    assert tagged <= {tactic for one in known for tactic in one.tactics}
    assert [one.id for one in known if not tagged.intersection(one.tactics)] == []
    assert rule.matrix == MATRIX
