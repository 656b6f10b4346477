"""The tests that a rule brings along: events under `custom.tests`, and whether it matches them.

A rule is tested as it was written: without a site's overrides and filters, and in whatever stage it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec
from sigma.correlations import SigmaCorrelationRule

from detector.matcher import Matcher
from detector.rule import Extra, RefusedError
from detector.rule_correlation import references
from detector.rule_field import fields, nearest
from detector.rule_join import Draft, Join
from detector.rule_tree import Constants
from nigrani.stream.codec import decode
from nigrani.stream.event import Event
from nigrani.stream.events import DATASETS

START = datetime(2026, 1, 1, tzinfo=UTC)
"""Of a test's events that say no time, each a second after the one before."""
BESIDE = frozenset({*(part.encode_name for part in msgspec.structs.fields(Extra)), "event.dataset"})
"""What a test may say beside an event's own fields."""


class Case(NamedTuple):
    """One test."""

    number: int
    key: str
    """`event` or `events`."""
    events: list[dict[str, Any]]
    match: bool

    @property
    def keys(self) -> tuple[str | int, ...]:
        """Where it stands in its document."""
        return ("custom", "tests", self.number)


class Outcome(NamedTuple):
    """What came of a test."""

    case: Case
    fault: RefusedError | None


def cases_of(draft: Draft) -> list[Case]:
    """The tests of a rule, in its order."""
    data: dict[str, Any] = draft.document.data
    found = []
    for number, written in enumerate(data.get("custom", {}).get("tests", ())):
        key = "events" if "events" in written else "event"
        found.append(Case(number, key, written[key] if key == "events" else [written[key]], written["match"]))
    return found


def family(draft: Draft, known: Mapping[str, Draft]) -> list[Draft]:
    """The rule, and all that it counts, as far as they are known."""
    found: dict[int, Draft] = {}
    waiting = [draft]
    while waiting:
        one = waiting.pop()
        if id(one) not in found:
            found[id(one)] = one
            if isinstance(one.parsed, SigmaCorrelationRule):
                waiting += [known[name] for name in references(one.parsed) if name in known]
    return list(found.values())


def outcomes(draft: Draft, known: Mapping[str, Draft], constants: Constants) -> Iterator[Outcome]:
    """What comes of each test of a rule; nothing where the rule, or one that it counts, has faults."""
    cases = cases_of(draft)
    members = family(draft, known)
    join = Join(members, alone=True) if cases else None
    if join is None or join.faults:
        return
    matcher = Matcher(join, constants)
    datasets = tuple(dict.fromkeys(dataset for one in (draft, *members) for dataset in one.rule.datasets))
    for case in cases:
        try:
            _run(draft, case, matcher.empty(), datasets)
        except RefusedError as error:
            yield Outcome(case, error)
        else:
            yield Outcome(case, None)


def _run(draft: Draft, case: Case, matcher: Matcher, datasets: tuple[str, ...]) -> None:
    """Raises RefusedError where it is not as the test says. datasets: of the rule and of all that it counts."""
    told = []
    for number, written in enumerate(case.events):
        keys = (*case.keys, case.key, number) if case.key == "events" else (*case.keys, case.key)
        event, extra = event_of(written, datasets, number, keys)
        matched = any(hit.rule is draft.rule for hit in matcher.match(event, extra))
        told.append(matched)
        if matched and not case.match:
            raise RefusedError(
                "a test says that the rule does not match, and it does", "correct the rule or the test", *keys
            )
        if case.match and not matched and not isinstance(draft.parsed, SigmaCorrelationRule):
            raise RefusedError(_missed(matcher, event, extra), "correct the rule or the test", *keys)
    if case.match and not any(told):
        message = "a test says that the rule matches, and it does not within these events"
        raise RefusedError(message, "correct the rule or the test", *case.keys)


def _missed(matcher: Matcher, event: Event, extra: Extra) -> str:
    """Say why the one rule there is does not match."""
    message = "a test says that the rule matches, and it does not"
    judged = matcher.program(type(event))
    if judged is None:
        return message
    failed = [clause for clause in judged.program.clauses(0, event, extra) if not clause.held]
    return f"{message}: {'; '.join(clause.missed() for clause in failed[:3])}"


def event_of(
    written: Mapping[str, Any], datasets: tuple[str, ...], number: int = 0, keys: tuple[str | int, ...] = ()
) -> tuple[Event, Extra]:
    """The event that a test writes, plain where it says nothing, and what stands beside it. Raises RefusedError."""
    dataset = written.get("event.dataset", datasets[0] if datasets else "")
    if dataset not in datasets:
        raise RefusedError(f"the rule reads no `{dataset}`", "use one of: " + ", ".join(datasets), *keys)
    known = fields(dataset)
    for name in written:
        if name not in known and name not in BESIDE:
            raise RefusedError(f"unknown field `{name}`", nearest(name, known), *keys, name)
        if name in known and known[name].closed and str(written[name]) not in known[name].closed:
            remedy = nearest(str(written[name]), known[name].closed)
            raise RefusedError(f"`{written[name]}` is no class of devices", remedy, *keys, name)
    wire = _plain(dataset, number) | {
        name: value for name, value in written.items() if name not in BESIDE - {"event.dataset"}
    }
    when = wire["@timestamp"]
    if isinstance(when, datetime) and when.tzinfo is None:
        wire["@timestamp"] = when.replace(tzinfo=UTC)
    new = written.get("nigrani.new", ())
    try:
        extra = msgspec.convert({**written, "nigrani.new": [new] if isinstance(new, str) else new}, Extra)
        return decode(msgspec.json.encode(wire)), extra
    except (ValueError, TypeError) as error:
        raise RefusedError(f"the event cannot be read: {error}", "write it as it is on the wire", *keys) from None


def _plain(dataset: str, number: int) -> dict[str, Any]:
    """What an event must have, and a test need not say."""
    wire: dict[str, Any] = {
        field.encode_name: 0 if field.type is int else "other"
        for field in msgspec.structs.fields(DATASETS[dataset])
        if field.required
    }
    named = {
        name: value
        for name, value in {"source.address": "ip:test", "destination.address": "ip:other"}.items()
        if name in wire
    }
    when = START + timedelta(seconds=number)
    fixed = {"event.dataset": dataset, "@timestamp": when, "event.id": f"test{number}", "event.sequence": number}
    return wire | named | fixed | {"host.id": "ip:test", "agent.id": "test"}
