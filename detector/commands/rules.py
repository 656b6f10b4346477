"""What the verbs of the rules have in common."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detector.config import DetectorConfig
from detector.setup import rule_folders
from nigrani.service.config import load
from nigrani.service.duration import duration
from nigrani.service.errors import BadConfig, Fault, Problem

if TYPE_CHECKING:
    from detector.history import History
    from detector.rule import Fault as RuleFault
    from detector.rule import Rule
    from detector.rule_join import Draft
    from detector.rule_loader import Loader


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare where rules are, and in what form to answer."""
    parser.add_argument("--config", metavar="FILE", type=Path, help="detector.yaml, which names the site's folders of rules")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="override one setting")
    parser.add_argument("--rules", metavar="DIR", action="append", default=[], help="rules beside the shipped ones")
    parser.add_argument("--json", action="store_true", help="JSON on standard output")


def declare_history(parser: argparse.ArgumentParser, *, files: bool = True) -> None:
    """Declare on which events a rule is tried."""
    if files:
        parser.add_argument(
            "events", metavar="EVENTS", nargs="*", help="NDJSON of events, in place of the bus; - is standard input"
        )
    parser.add_argument(
        "--bus", metavar="DIR", type=Path, help="an embedded bus; default: that of the configuration, or its topic"
    )
    parser.add_argument(
        "--since", metavar="TIME", type=duration, help="how far back from now, such as 7d; default: all there is"
    )


def configured(options: argparse.Namespace) -> DetectorConfig:
    """The detector's configuration."""
    return load(DetectorConfig, options.config, options.set)


def history(options: argparse.Namespace, config: DetectorConfig) -> History:
    """The events that were asked for."""
    from detector.history import History  # noqa: PLC0415 - only where events are read

    return History(config, options.events, options.bus, options.since)


def folders(options: argparse.Namespace, config: DetectorConfig) -> list[Path]:
    """The shipped rules and the site's."""
    return rule_folders([*config.rules, *options.rules])


def read(paths: Iterable[Path]) -> Loader:
    """All rules of the folders and files, whatever is wrong with some."""
    from detector.rule_loader import Loader  # noqa: PLC0415 - pySigma is loaded only where rules are

    return Loader(paths)


def sound(paths: Iterable[Path]) -> Loader:
    """The same, where nothing is wrong. Raises BadConfig with every fault."""
    loader = read(paths)
    return _sound(loader, loader.faults)


def _sound(loader: Loader, faults: Sequence[RuleFault]) -> Loader:
    if faults:
        raise BadConfig([Fault(str(fault.path), fault.line, fault.message, fault.remedy) for fault in faults])
    return loader


def sound_but_tests(paths: Iterable[Path]) -> Loader:
    """All rules of the folders and files, where nothing but a rule's own test fails. Raises BadConfig with every fault."""
    loader = read(paths)
    failed = {
        draft.document.fault(outcome.fault.message, outcome.fault.remedy, *outcome.fault.keys)
        for draft, outcome in loader.outcomes
        if outcome.fault
    }
    return _sound(loader, [fault for fault in loader.faults if fault not in failed])


def chosen(name: str, options: argparse.Namespace, config: DetectorConfig) -> tuple[Loader, list[Draft]]:
    """The rules that a file holds, or that go by an id, a name, a title or a file's name. Raises Problem for none."""
    path = Path(name)
    if path.exists():
        loader = sound([path])
        found = _meant(loader, loader.drafts)
        if not found:
            raise Problem(f"{name} holds no rule")
        return loader, found
    loader = sound(folders(options, config))
    found = _meant(loader, [draft for draft in loader.drafts if name in _names(draft.rule)])
    if not found:
        from detector.rule_field import nearest  # noqa: PLC0415 - as in `read`

        known = [word for draft in loader.drafts for word in (draft.rule.path.stem, draft.rule.name) if word]
        raise Problem(f"there is no rule {name}, and no file; {nearest(name, known)}")
    return loader, found


def _names(rule: Rule) -> set[str]:
    return {rule.id, rule.name, rule.title, rule.path.stem, str(rule.path)} - {""}


def _meant(loader: Loader, drafts: Sequence[Draft]) -> list[Draft]:
    """Those that alert, or where none does, those that are only counted; never a filter."""
    from sigma.filters import SigmaFilter  # noqa: PLC0415 - as in `read`

    rules = [draft for draft in drafts if not isinstance(draft.parsed, SigmaFilter)]
    alerting = {id(rule) for rule in loader.join.rules}
    return [draft for draft in rules if id(draft.rule) in alerting] or rules


def plain(text: object) -> str:
    """The text, as a terminal shows it without harm."""
    return "".join(letter if letter.isprintable() else " " for letter in str(text))


def put(text: str) -> None:
    """Write a line of data."""
    sys.stdout.write(text + "\n")


def put_json(data: Any) -> None:
    """Write a line of JSON."""
    sys.stdout.write(json.dumps(data, ensure_ascii=False, default=str) + "\n")


def put_faults(faults: Sequence[RuleFault], severity: str, *, as_json: bool) -> None:
    """Write what is wrong with files, a line each."""
    for fault in faults:
        if as_json:
            put_json(
                {
                    "severity": severity,
                    "path": str(fault.path),
                    "line": fault.line,
                    "message": fault.message,
                    "remedy": fault.remedy,
                }
            )
        else:
            put(plain(f"{fault.path}:{fault.line}: {severity}: {fault.message}; {fault.remedy}"))
