"""Overrides: documents of a site that change how a rule is told of, without a line of the rule's own file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from detector.rule import LEVELS, RISKS, STAGES, RefusedError, Rule
from detector.rule_custom import Shapes, is_risk, is_stage, is_text, shape_refusals, stage_of, suppress_of

KEYS: Shapes = {
    "rule": (is_text, "the id or name of a rule"),
    "stage": (is_stage, "one of " + ", ".join(STAGES)),
    "level": (lambda value: isinstance(value, str) and value in LEVELS, "one of " + ", ".join(LEVELS)),
    "risk": (is_risk, "a whole number from 0 to 100"),
    "suppress": (lambda value: isinstance(value, dict), "a map such as {by: [host.id], for: 1h}"),
    "threshold": (lambda value: type(value) in {int, float} and 0 <= value <= 1 << 53, "a number"),
    "owner": (is_text, "a text"),
}


def override_refusals(override: Mapping[str, Any]) -> Iterator[RefusedError]:
    """Everything wrong with an override that shows without its rule."""
    yield from shape_refusals(override, KEYS, "override")
    if "rule" not in override:
        yield RefusedError("the override names no rule", "add `rule:` with a rule's id or name", "override")
    elif len(override) == 1:
        yield RefusedError("the override changes nothing", "add what is to change, such as `stage: shadow`", "override")


def overridden(rule: Rule, override: Mapping[str, Any]) -> Rule:
    """The rule as the site has it; its threshold aside, which is not the header's."""
    changes = {key: override[key] for key in ("stage", "level", "risk", "owner") if key in override}
    if "level" in changes and "risk" not in changes and rule.risk == RISKS[rule.level]:
        changes["risk"] = RISKS[changes["level"]]
    if "stage" in changes:
        changes["stage"] = stage_of(changes["stage"])
    if "suppress" in override:
        changes["suppress"] = suppress_of(override["suppress"])
    return msgspec.structs.replace(rule, **changes)
