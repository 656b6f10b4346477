"""Try a rule on events: which of them match and why, and of those that nearly match, which clause failed.

RULE is a file, or the id, name, title or file name of a rule. An event is as on the wire; `nigrani.new`, `p_value` and
`device.class`, `source.class`, `destination.class` may stand beside its fields, for no baseline is asked. Exit code 1 where
the rule alerts on none.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from detector.commands.rules import chosen, configured, declare, plain, put, put_json
from nigrani.service.errors import Problem
from nigrani.service.plural import plural

if TYPE_CHECKING:
    from detector.rule import Known
    from detector.rule_trial import Told, Trial
    from nigrani.stream.event import Event

WORDS = {"alert": "match", "counted": "counted", "near": "near miss"}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("rule", metavar="RULE", help="a rule")
    parser.add_argument("events", metavar="EVENTS", nargs="+", help="NDJSON of events; - is standard input")
    parser.add_argument("--limit", metavar="N", type=int, default=20, help="lines of each kind; default: 20")
    declare(parser)


def run(options: argparse.Namespace) -> int:
    """Try."""
    from detector.rule_trial import Trial  # noqa: PLC0415 - pySigma is loaded only where rules are

    loader, drafts = chosen(options.rule, options, configured(options))
    events = list(_read(options.events))
    matched = False
    for draft in drafts:
        trial = Trial(loader, draft)
        shown: Counter[str] = Counter()
        for told in trial.run(events):
            shown[told.kind] += 1
            if shown[told.kind] <= options.limit:
                _tell(told, as_json=options.json)
        _sum_up(trial, len(events))
        matched = matched or bool(trial.kinds["alert"])
    return 0 if matched else 1


def _read(names: list[str]) -> Iterator[tuple[Event, Known]]:
    """Raises Problem where nothing is an event."""
    from detector.rule import Extra  # noqa: PLC0415 - as above
    from nigrani.stream.codec import decode  # noqa: PLC0415 - as above

    bad = good = 0
    for name in names:
        lines = sys.stdin.buffer.readlines() if name == "-" else Path(name).read_bytes().splitlines()
        for line in lines:
            try:
                event, extra = decode(line), msgspec.json.decode(line, type=Extra)
            except ValueError:
                bad += bool(line.strip())
                continue
            good += 1
            yield event, extra
    if bad:
        sys.stderr.write(f"nigrani: left out what is no event: {plural(bad, 'line')}\n")
    if not good:
        raise Problem(f"{', '.join(names)}: no events")


def _tell(told: Told, *, as_json: bool) -> None:
    event = told.event
    when = event.timestamp.strftime("%Y-%m-%d %H:%M:%S")
    if as_json:
        put_json(
            {
                "kind": WORDS[told.kind],
                "rule": told.rule.title,
                "event.id": event.id,
                "@timestamp": event.timestamp,
                "host.id": event.host,
                "why": told.why,
            }
        )
    else:
        put(plain(f"{WORDS[told.kind]:9}  {when}  {event.id}  {event.host}  {told.rule.title}: {'; '.join(told.why)}"))


def _sum_up(trial: Trial, events: int) -> None:
    say = sys.stderr.write
    kinds = trial.kinds
    counted = f", {kinds['counted']:,} counted" if trial.wanted() else ""
    matches, near = plural(kinds["alert"], "match", "matches"), plural(kinds["near"], "near miss", "near misses")
    say(plain(f"nigrani: {trial.rule.title}: {matches}{counted} and {near}"))
    say(f" of {plural(events, 'event')}, of which it reads {trial.seen:,}\n")
    for clause, count in trial.failed.most_common(5):
        say(plain(f"nigrani:   {plural(count, 'near miss', 'near misses')} failed by: {clause}") + "\n")
    if words := trial.peak_words():
        say(plain(f"nigrani:   {words}") + "\n")
