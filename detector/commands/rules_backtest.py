"""Try a rule on the site's past: matches and alerts a day, the devices they are about, and what an operator would have seen.

RULE is a file, or the id, name, title or file name of a rule, in whatever stage it is. Alerts are what is left of the
matches after `suppress`, or after one alert a device and hour. Without EVENTS the bus is read: the spool, or the topic.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detector.commands.rules import (
    chosen,
    configured,
    declare,
    declare_history,
    history,
    plain,
    put,
    put_json,
)
from detector.setup import load_knowledge
from nigrani.service.errors import Problem
from nigrani.service.key import state_folder
from nigrani.service.plural import plural
from nigrani.service.progress import Progress
from nigrani.service.table import lines

if TYPE_CHECKING:
    from detector.backtest import Backtest, Verdict
    from detector.config import DetectorConfig
    from detector.engine import Knowledge

TOP = 10
"""Devices that are named."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("rule", metavar="RULE", help="a rule")
    declare_history(parser)
    parser.add_argument("--baseline", metavar="FILE", type=Path, help="what tells what is new; default: the detector's own")
    parser.add_argument(
        "--show", metavar="N", type=int, default=3, help="alerts to show as an operator sees them; default: 3"
    )
    declare(parser)


def run(options: argparse.Namespace) -> int:
    """Try it."""
    from detector.backtest import Backtest  # noqa: PLC0415 - numpy is loaded only where something is judged
    from detector.rule_trial import by_themselves  # noqa: PLC0415 - as above

    config = configured(options)
    rules = by_themselves(*chosen(options.rule, options, config))
    if not rules.rules:
        raise Problem(f"{options.rule} is no rule that alerts: it has no id or no level, for others count it")
    knowledge = knowledge_of(options.baseline, config)
    backtest = Backtest(rules, knowledge, config.devices)
    with Progress("judge") as bar:
        backtest.run(history(options, config).read(bar.show))
    if knowledge is None:
        sys.stderr.write("nigrani: no baseline: nothing is new, no flow has a p-value, no device a class but by `devices`\n")
    for verdict in backtest.verdicts.values():
        if options.json:
            put_json(_data(verdict, backtest))
        else:
            _put(verdict, backtest, options.show)
    return 0


def knowledge_of(baseline: Path | None, config: DetectorConfig) -> Knowledge | None:
    """The baseline that is named, or the detector's own where there is one."""
    path = baseline or config.baseline.path or state_folder() / "baseline.npz"
    return load_knowledge(path, config.baseline.trusted) if baseline or path.exists() else None


def _data(verdict: Verdict, backtest: Backtest) -> dict[str, Any]:
    return {
        "rule": verdict.rule.title,
        "id": verdict.rule.id,
        "events": backtest.events,
        "days": {day: {"matches": verdict.matches[day], "alerts": verdict.alerts[day]} for day in backtest.days},
        "matches": verdict.matches.total(),
        "suppressed": verdict.suppressed,
        "alerts": verdict.alerts.total(),
        "devices": dict(verdict.devices.most_common(TOP)),
        "shown": [alert.ocsf() for alert in verdict.shown],
    }


def _put(verdict: Verdict, backtest: Backtest, show: int) -> None:
    put(plain(f"{verdict.rule.title} ({verdict.rule.level}), {_of(backtest)}"))
    rows = [(day, verdict.matches[day], verdict.alerts[day]) for day in backtest.days]
    rows.append(("in all", verdict.matches.total(), verdict.alerts.total()))
    for line in lines(("day", "matches", "alerts"), rows):
        put(f"  {line}")
    if verdict.rule.suppress:
        put(f"  suppressed: {plural(verdict.suppressed, 'match', 'matches')}")
    if not verdict.alone:
        put(f"  {verdict.rule.level} does not alert alone: it lays a risk of {verdict.rule.risk} on the device")
    for line in lines(("device", "matches"), verdict.devices.most_common(TOP)) if verdict.devices else ():
        put(f"  {plain(line)}")
    for alert in verdict.shown[:show]:
        put("\n" + alert.text())


def _of(backtest: Backtest) -> str:
    return f"on {plural(backtest.events, 'event')} of {plural(len(backtest.days), 'day')}"
