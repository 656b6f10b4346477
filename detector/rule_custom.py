"""Keys of ours under a rule's `custom`: what Sigma has no word for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from typing import Any

from detector.rule import STAGES, RefusedError, Suppress
from detector.rule_field import nearest
from nigrani.service.duration import duration

MAX_SUPPRESS = 7 * 86_400
MAX_BY = 8
MAX_CASES = 50
MAX_EVENTS = 1000
"""Of all cases of one rule."""
CASE_KEYS = frozenset({"title", "event", "events", "match"})


Shapes = Mapping[str, tuple[Callable[[Any], bool], str]]
"""Keys → whether a value fits, and what does."""


def custom_refusals(custom: Mapping[str, Any]) -> Iterator[RefusedError]:
    """Everything wrong with the keys under `custom`."""
    yield from shape_refusals(custom, CUSTOM, "custom")
    if isinstance(custom.get("tests"), list):
        yield from _case_refusals(custom["tests"])


def shape_refusals(given: Mapping[str, Any], shapes: Shapes, under: str) -> Iterator[RefusedError]:
    """Keys under that key which are not known, and values that do not fit theirs."""
    for key, value in given.items():
        if key not in shapes:
            yield RefusedError(f"unknown key `{under}.{key}`", nearest(key, shapes), under, key)
            continue
        fits, wanted = shapes[key]
        if not fits(value):
            yield RefusedError(f"`{under}.{key}` cannot be {_shown(value)}", f"write {wanted}", under, key)
        elif key == "suppress":
            yield from suppress_refusals(value, under, key)


def stage_of(value: object) -> str:
    """The stage as we name it: YAML reads a bare `on` as true."""
    return STAGES[-1] if value is True else str(value)


def day(value: object) -> date:
    """The date, of YAML's own or as text. Raises ValueError."""
    return value if type(value) is date else date.fromisoformat(str(value))


def suppress_of(value: Mapping[str, Any]) -> Suppress:
    """What `suppress_refusals` found sound."""
    by = value["by"]
    return Suppress(tuple([by] if isinstance(by, str) else by), int(duration(str(value["for"]))))


def suppress_refusals(value: Mapping[str, Any], *keys: str) -> Iterator[RefusedError]:
    """Everything wrong with a `suppress`, its fields aside."""
    for key in sorted(value.keys() - {"by", "for"}, key=str):
        yield RefusedError(f"unknown key `{key}` in suppress", "write `by:` and `for:`", *keys, key)
    by: Any = value.get("by")
    if not (is_text(by) or (is_texts(by) and 0 < len(by) <= MAX_BY)):
        yield RefusedError("suppress has no `by`", f"list one to {MAX_BY} fields, such as [host.id]", *keys, "by")
    try:
        seconds = duration(str(value.get("for")))
    except ValueError:
        seconds = 0
    if not 1 <= seconds <= MAX_SUPPRESS:
        yield RefusedError(
            f"`{value.get('for')}` is no time up to {MAX_SUPPRESS // 86_400} days", "write `for: 1h`", *keys, "for"
        )


def _case_refusals(cases: list[Any]) -> Iterator[RefusedError]:
    if len(cases) > MAX_CASES:
        yield RefusedError(f"over {MAX_CASES} tests", "keep the telling ones", "custom", "tests")
        return
    total = 0
    for number, case in enumerate(cases):
        keys = ("custom", "tests", number)
        if not isinstance(case, dict):
            yield RefusedError("a test is not a map", "write `- event: {…}` and `match: true`", *keys)
            continue
        for key in sorted(case.keys() - CASE_KEYS):
            yield RefusedError(f"unknown key `{key}` in a test", nearest(key, CASE_KEYS), *keys, key)
        events = case.get("events", [case.get("event")])
        if ("event" in case) is ("events" in case) or not _is_maps(events):
            yield RefusedError("a test has no events", "write `event: {field: value}`, or a list under `events:`", *keys)
            continue
        if not isinstance(case.get("match"), bool):
            yield RefusedError("a test does not say whether the rule matches", "add `match: true` or `match: false`", *keys)
        total += len(events)
    if total > MAX_EVENTS:
        yield RefusedError(f"over {MAX_EVENTS} events in tests", "sum repeats up in `nigrani.count`", "custom", "tests")


def is_text(value: object) -> bool:
    """Whether it is text and not empty."""
    return isinstance(value, str) and bool(value)


def is_texts(value: Any) -> bool:
    """Whether it is a list of texts."""
    return isinstance(value, list) and all(map(is_text, value))


def is_risk(value: object) -> bool:
    """Whether it is a whole number from 0 to 100."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 100


def is_stage(value: object) -> bool:
    """Whether it is a stage's name, or what YAML makes of a bare `on`."""
    return value is True or (isinstance(value, str) and value in STAGES)


def is_day(value: object) -> bool:
    """Whether it is a date."""
    try:
        day(value)
    except ValueError:
        return False
    return True


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return f"`{str(value).lower()}`, as which YAML reads a bare {'on or yes' if value else 'off or no'}"
    if isinstance(value, dict | list):
        return "a map" if isinstance(value, dict) else "such a list"
    return "empty" if value is None or value == "" else f"`{str(value)[:60]}`"


def _is_maps(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(part, dict) for part in value)


def _is_runbook(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[a-z0-9][a-z0-9-]{0,63}", value) is not None


CUSTOM: Shapes = {
    "risk": (is_risk, "a whole number from 0 to 100"),
    "runbook": (_is_runbook, "a runbook's name of small letters, digits and dashes"),
    "first_steps": (is_texts, "a list of sentences, in quotes where a colon is in them"),
    "title_detail": (is_text, "a text"),
    "matrix": (is_text, "a text"),
    "unit": (is_text, "a text"),
    "owner": (is_text, "a text"),
    "stage": (is_stage, "one of " + ", ".join(STAGES)),
    "expires": (is_day, "a date such as 2027-01-31"),
    "suppress": (lambda value: isinstance(value, dict), "a map such as {by: [host.id], for: 1h}"),
    "tests": (lambda value: isinstance(value, list), "a list of maps such as {event: {…}, match: true}"),
}
