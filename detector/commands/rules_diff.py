"""Tell how two sets of rules differ: what came, what went, what changed; with EVENTS or --bus, what each says of them.

OLD and NEW are folders or files. The site's own folders (--config, --rules) stand beside both, so that an update that one
of its overrides or filters does not fit is told. Exit code 1 where the sets differ.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detector.commands.rules import configured, declare, declare_history, history, plain, put, put_json, sound
from detector.commands.rules_backtest import knowledge_of
from nigrani.service.errors import Problem
from nigrani.service.progress import Progress
from nigrani.service.table import lines

if TYPE_CHECKING:
    from detector.config import DetectorConfig
    from detector.rule_difference import Difference
    from detector.rule_loader import Loader


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("old", metavar="OLD", type=Path, help="rules before")
    parser.add_argument("new", metavar="NEW", type=Path, help="rules after")
    declare_history(parser)
    parser.add_argument("--baseline", metavar="FILE", type=Path, help="what tells what is new; default: the detector's own")
    declare(parser)


def run(options: argparse.Namespace) -> int:
    """Compare."""
    from detector.rule_difference import differences  # noqa: PLC0415 - pySigma is loaded only where rules are

    config = configured(options)
    site = [Path(folder) for folder in [*config.rules, *options.rules]]
    if "-" in options.events:
        raise Problem("standard input can be read only once, and the events are read twice: name a file")
    old, new = (sound([folder, *site]) for folder in (options.old, options.new))
    found = differences(old, new)
    for one in found:
        _put(one, as_json=options.json)
    if options.events or options.bus or options.since:
        _compare(old, new, options, config)
    count = {kind: sum(one.kind == kind for one in found) for kind in ("added", "removed", "changed")}
    sys.stderr.write("nigrani: {added} added, {removed} removed, {changed} changed\n".format(**count))
    return 1 if found else 0


def _put(one: Difference, *, as_json: bool) -> None:
    if as_json:
        put_json(one._asdict())
        return
    put(plain(f"{one.kind:8} {one.title} ({one.key})"))
    for key, before, after in one.changes:
        put(plain(f"           {key}: {before or 'nothing'} → {after or 'nothing'}"))


def _compare(old: Loader, new: Loader, options: argparse.Namespace, config: DetectorConfig) -> None:
    """Tell of the rules whose matches or alerts are others on the events."""
    from detector.backtest import Backtest  # noqa: PLC0415 - numpy is loaded only where something is judged
    from detector.ruleset import RuleSet  # noqa: PLC0415 - as above

    knowledge = knowledge_of(options.baseline, config)
    verdicts = []
    for loader, label in ((old, "before"), (new, "after ")):
        backtest = Backtest(RuleSet(loader), knowledge, config.devices)
        with Progress(label) as bar:
            backtest.run(history(options, config).read(bar.show))
        verdicts.append(backtest.verdicts)
    rows: list[dict[str, Any]] = []
    for rule in dict.fromkeys([*verdicts[0], *verdicts[1]]):
        sides = [one.get(rule) for one in verdicts]
        counts = [(side.matches.total(), side.alerts.total()) if side else (0, 0) for side in sides]
        if counts[0] != counts[1]:
            title = next(side.rule.title for side in reversed(sides) if side)
            names = ("matches_before", "alerts_before", "matches_after", "alerts_after")
            rows.append({"title": title, "id": rule, **dict(zip(names, (*counts[0], *counts[1]), strict=True))})
    if options.json:
        for row in rows:
            put_json(row)
    elif rows:
        head = ("rule", "matches before", "alerts before", "matches after", "alerts after")
        for line in lines(head, [(plain(row["title"]), *list(row.values())[2:]) for row in rows]):
            put(line)
    else:
        put("no rule says anything else of these events")
