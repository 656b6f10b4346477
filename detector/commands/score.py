"""Score events once: alerts in order, as text or, with --json, as NDJSON of OCSF findings.

Without --baseline only rules alert. Exit code 1 where there were alerts.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from detector.config import DetectorConfig, Devices
from detector.inputs import Inputs
from detector.setup import load_knowledge, load_rules
from nigrani.service.config import load
from nigrani.service.progress import Progress

if TYPE_CHECKING:
    from detector.alert import Alert


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("events", metavar="EVENTS", nargs="+", help="NDJSON of events; - is standard input")
    options(parser)


def options(parser: argparse.ArgumentParser) -> None:
    """Declare what `replay` has too."""
    parser.add_argument("--baseline", metavar="FILE", type=Path, help="a baseline that `detector train` wrote")
    parser.add_argument("--rules", metavar="DIR", action="append", default=[], help="rules beside the shipped ones")
    parser.add_argument("--devices", metavar="FILE", type=Path, help="detector.yaml whose `devices` names devices' classes")
    parser.add_argument("--trust", metavar="FILE", action="append", default=[], help="public key of another trainer")
    parser.add_argument("--false-alarms-per-week", metavar="N", type=_above_zero, default=7.0, help="budget of anomalies")
    parser.add_argument("--json", action="store_true", help="NDJSON on standard output")


def named(path: Path | None) -> Devices:
    """The classes that the site's configuration names."""
    return load(DetectorConfig, path).devices


def _above_zero(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return value


class Printer:
    """Puts each alert on standard output."""

    def __init__(self, *, json: bool) -> None:
        self._json = json
        self.count = 0

    def __call__(self, alert: Alert) -> None:
        """Print one alert."""
        self.count += 1
        if self._json:
            import msgspec  # noqa: PLC0415 - only where JSON is asked for

            sys.stdout.buffer.write(msgspec.json.encode(alert.ocsf()) + b"\n")
            sys.stdout.buffer.flush()
        else:
            sys.stdout.write(alert.text() + "\n\n")
            sys.stdout.flush()


def run(options: argparse.Namespace) -> int:
    """Score the files."""
    from detector.engine import Engine  # noqa: PLC0415 - numpy is loaded only where something is scored

    inputs = Inputs(options.events)
    rules = load_rules(options.rules)
    knowledge = load_knowledge(options.baseline, options.trust) if options.baseline else None
    printer = Printer(json=options.json)
    engine = Engine(rules, printer, knowledge, options.false_alarms_per_week, devices=named(options.devices))
    if knowledge is None:
        sys.stderr.write("nigrani: no baseline: rules alone, and none of those that ask what is new\n")
    with Progress("score") as bar:
        for event in inputs.read(bar.show):
            engine.feed(event)
    engine.close()
    inputs.finish()
    sys.stderr.write(f"nigrani: {inputs.events} events, {printer.count} alerts\n")
    return 1 if printer.count else 0
