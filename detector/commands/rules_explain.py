"""Explain a rule: what it reads, when it matches, what it counts, and how often its fields occur in the site's traffic.

RULE is a file, or the id, name, title or file name of a rule. Traffic is looked at where EVENTS, --bus or --since are given.
"""

from __future__ import annotations

import argparse
from collections import Counter
from typing import TYPE_CHECKING, Any

from detector.commands.rules import chosen, configured, declare, declare_history, history, plain, put, put_json
from detector.commands.rules_backtest import knowledge_of
from nigrani.service.progress import Progress

if TYPE_CHECKING:
    from detector.beside import Beside
    from detector.history import History
    from detector.rule_join import Draft
    from detector.rule_loader import Loader

MOST = 5
"""Values of a field that are named."""
MAX_VALUES = 10_000
"""Values of a field that are told apart."""
BESIDE = {
    "nigrani.new": "What of the event the baseline never saw.",
    "p_value": "How rare the flow is, by the models.",
    "device.class": "What the device is whose story the event tells.",
    "source.class": "What the originator is.",
    "destination.class": "What the device is that was spoken to.",
}
"""What the detector adds to an event's own fields."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("rule", metavar="RULE", help="a rule")
    declare_history(parser)
    declare(parser)


def run(options: argparse.Namespace) -> int:
    """Explain."""
    config = configured(options)
    loader, drafts = chosen(options.rule, options, config)
    explained = [explain(loader, draft) for draft in drafts]
    if options.events or options.bus or options.since:
        from detector.beside import Beside  # noqa: PLC0415 - numpy is loaded only where events are judged

        beside = Beside(knowledge_of(None, config), config.devices)
        with Progress("read") as bar:
            look(history(options, config), explained, bar, beside)
    for one in explained:
        if options.json:
            put_json(one)
        else:
            _put(one)
    return 0


def explain(loader: Loader, draft: Draft) -> dict[str, Any]:
    """What there is to say of a rule, by its heading."""
    from detector.matcher import Matcher  # noqa: PLC0415 - pySigma is loaded only where rules are
    from detector.rule_cases import cases_of, family  # noqa: PLC0415 - as above
    from detector.rule_join import Join  # noqa: PLC0415 - as above
    from detector.rule_tree import in_words  # noqa: PLC0415 - as above

    known = {name: one for one in loader.drafts for name in one.references}
    join = Join(family(draft, known), alone=True)
    matcher = Matcher(join, loader.constants)
    rule = draft.rule
    suppress = rule.suppress
    return {
        "title": rule.title,
        "file": str(rule.path),
        "id": rule.id,
        "level": rule.level,
        "risk": rule.risk,
        "stage": rule.stage,
        "owner": rule.owner,
        "expires": rule.expires and rule.expires.isoformat(),
        "suppressed": f"by {', '.join(suppress.by)} for {suppress.seconds} s" if suppress else "one alert a device and hour",
        "description": rule.description,
        "reads": list(rule.datasets),
        "when": [
            {"rule": entry.rule.title, "condition": in_words(entry.condition)}
            for entries in join.entries.values()
            for entry in entries
        ],
        "counts": [
            {"rule": one.rule.title, "by": list(one.plan.group_by), "sentence": one.sentence} for one in matcher.correlations
        ],
        "fields": [field for dataset, entries in join.entries.items() for field in _fields(dataset, entries)],
        "tests": len(cases_of(draft)),
        "false_positives": list(rule.false_positives),
        "first_steps": list(rule.first_steps),
        "runbook": rule.runbook,
        "tags": list(rule.tags),
        "warnings": [str(warning) for warning in loader.warnings if warning.path == rule.path],
    }


def _fields(dataset: str, entries: list[Any]) -> list[dict[str, Any]]:
    from detector.rule_program import asked  # noqa: PLC0415 - as above
    from nigrani.stream.schema import schema  # noqa: PLC0415 - as above

    told = schema(dataset)["properties"]
    names = dict.fromkeys(name for entry in entries for name in asked(entry.condition))
    return [
        {"dataset": dataset, "field": name, "meaning": told.get(name, {}).get("description", BESIDE.get(name, ""))}
        for name in names
    ]


def look(events: History, explained: list[dict[str, Any]], bar: Progress, beside: Beside) -> None:
    """Add to each field how many events have it, and its commonest values."""
    from detector.rule_field import fields  # noqa: PLC0415 - as above

    wanted = {(field["dataset"], field["field"]) for one in explained for field in one["fields"]}
    totals: Counter[str] = Counter()
    there: Counter[tuple[str, str]] = Counter()
    values: dict[tuple[str, str], Counter[str]] = {key: Counter() for key in wanted}
    by_dataset: dict[str, list[tuple[str, Any]]] = {}
    for dataset, name in wanted:
        if name != "p_value":  # each is its own number, and dear
            by_dataset.setdefault(dataset, []).append((name, fields(dataset)[name]))
    for event in events.read(bar.show):
        dataset = str(event.__struct_config__.tag)
        totals[dataset] += 1
        beside.show(event)
        for name, field in by_dataset.get(dataset, ()):
            value = field.get(event, beside)
            if value is None or value in ("", [], ()):
                continue
            key = dataset, name
            there[key] += 1
            for one in value if isinstance(value, list | tuple) else (value,):
                if len(values[key]) < MAX_VALUES or str(one) in values[key]:
                    values[key][str(one)] += 1
    for field in (field for one in explained for field in one["fields"]):
        key = field["dataset"], field["field"]
        if field["field"] == "p_value":
            continue
        field["events"], field["of"] = there[key], totals[field["dataset"]]
        field["values"] = dict(values[key].most_common(MOST))


def _put(one: dict[str, Any]) -> None:
    put(plain(one["title"]))
    heads = ("file", "id", "level", "risk", "stage", "owner", "expires", "suppressed", "runbook", "tests", "description")
    for head in heads:
        if one[head] not in ("", None):
            put(plain(f"  {head:12}{one[head]}"))
    put(plain(f"  {'reads':12}{', '.join(one['reads'])}"))
    for part in one["when"]:
        put(plain(f"  {'when':12}{part['condition']}   [{part['rule']}]"))
    for part in one["counts"]:
        put(plain(f"  {'counts':12}{part['sentence']}; by {', '.join(part['by']) or 'nothing: all events together'}"))
    for field in one["fields"]:
        put(plain(f"  {'field':12}{field['field']}: {' '.join(field['meaning'].split())}{_seen(field)}"))
    for head, name in (("false_positives", "unless"), ("first_steps", "do"), ("tags", "tags"), ("warnings", "warning")):
        for text in one[head]:
            put(plain(f"  {name:12}{text}"))


def _seen(field: dict[str, Any]) -> str:
    if "of" not in field:
        return ""
    common = ", ".join(f"{value} {count:,}" for value, count in field["values"].items())
    return f" ({field['events']:,} of {field['of']:,} events have it{': ' if common else ''}{common})"
