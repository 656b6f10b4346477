"""Agent and detector on one machine, joined by the embedded bus.

With --replay the agent reads captures and log files in place of its interfaces: the detector learns the first part, as long
as its `baseline.learn_minutes`, and judges the rest. Alerts are printed as they come; metrics are on `metrics.listen`.
Stays up until Ctrl-C, or with --once until everything is judged.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from detector.cases.case import ACTIVE, Filter
from detector.commands.case import HEAD, row
from detector.config import DetectorConfig
from detector.setup import make_service, start_cases, start_page
from nigrani.commands.labels import Labels
from nigrani.service import log
from nigrani.service.config import load
from nigrani.service.endpoint import Endpoint
from nigrani.service.errors import Problem, Usage
from nigrani.service.key import state_folder
from nigrani.service.notify import notify
from nigrani.service.progress import Progress
from nigrani.service.stop import Stop
from nigrani.service.table import lines
from nigrani.stream.events import DATASETS

if TYPE_CHECKING:
    from detector.alert import Alert
    from detector.cases.intake import Intake
    from detector.service import Service


SETTLE = 10.0
"""Seconds that the summary waits for the last alerts to be in cases."""
SHOWN = 20


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("--verbose", action="store_true", help="say more on standard error")
    parser.add_argument("--replay", metavar="FILE", nargs="+", type=Path, default=[], help="captures and logs to read")
    parser.add_argument("--once", action="store_true", help="end once everything is judged")
    parser.add_argument("--state", metavar="DIR", type=Path, help="keep keys, bus, baseline and alerts there")
    parser.add_argument("--agent-config", metavar="FILE", type=Path, help="agent.yaml")
    parser.add_argument("--config", metavar="FILE", type=Path, help="detector.yaml")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="override a detector's setting")
    parser.add_argument("--labels", metavar="FILE", type=Path, help="what happened in the replay: tells what was found")


def run(options: argparse.Namespace) -> int:
    """Start both, print alerts, summarise."""
    if options.once and not options.replay:
        raise Usage("--once needs --replay: live traffic has no end")
    if options.state:
        os.environ["NIGRANI_STATE"] = str(options.state.absolute())
    log.start(verbose=options.verbose)
    config = load(DetectorConfig, options.config, options.set)
    if config.kafka.servers:
        raise Usage("up joins agent and detector by the embedded bus: take kafka.servers out of its configuration")
    labels = Labels.load(options.labels) if options.labels else None
    from nigrani.stream.spool import Spool  # noqa: PLC0415 - only once the options stand

    path = config.bus.path or state_folder() / "bus"
    try:
        Spool.open(path).close()
    except (OSError, ValueError) as error:
        raise Problem(str(error)) from None
    bar = Progress("learn ")
    service = make_service(config, Told(bar, labels))
    cases = start_cases(config, service)
    page = start_page(config, service, cases)
    endpoint = Endpoint(service.metrics.registry, config.metrics)
    stop = Stop()
    _greet(service, config, endpoint.url, page.url if page is not None else "")
    service.watch_rules()
    agent = _start_agent(options, path)
    notify("READY=1")
    began = time.monotonic()
    try:
        failed = _serve(service, agent, bar, stop, once=bool(options.replay))
        if options.replay and not stop.asked:
            service.finish()
        bar.clear()
        _summary(service, time.monotonic() - began, labels)
        _cases(cases if options.replay else None)
        while not (options.once or stop.asked):
            service.step(timeout=0.5)
    finally:
        if agent.poll() is None:
            agent.terminate()
            agent.wait()
        for one in (service, page, cases, endpoint):
            if one is not None:
                one.close()
    return 1 if failed else 0


def _greet(service: Service, config: DetectorConfig, metrics: str, page: str) -> None:
    """Say where to look, and what is not there yet."""
    sys.stderr.write(f"nigrani: metrics on {metrics}\n")
    if page:
        sys.stderr.write(f"nigrani: cases on {page}\n")
    if not service.knows:
        until = f"for {config.baseline.learn_minutes} minutes of events" if service.learning else "for good"
        sys.stderr.write(f"nigrani: no baseline: rules alone {until}\n")


class Told:
    """Prints each alert above the progress bar."""

    def __init__(self, bar: Progress, labels: Labels | None) -> None:
        self._bar = bar
        self._labels = labels

    def __call__(self, alert: Alert) -> None:
        """Print one alert."""
        self._bar.clear()
        sys.stdout.write(alert.text() + "\n\n")
        sys.stdout.flush()
        if self._labels is not None:
            self._labels.note(alert)


def _start_agent(options: argparse.Namespace, bus: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "nigrani.cli", "agent"]
    if options.replay:
        command += ["replay", *map(str, options.replay), "--bus", str(bus)]
    else:
        command += ["run", "--set", f"bus.path={bus}"]
    if options.agent_config:
        command += ["--config", str(options.agent_config)]
    return subprocess.Popen(command)  # noqa: S603 - this program's own verb, with the user's own file names


def _serve(service: Service, agent: subprocess.Popen[bytes], bar: Progress, stop: Stop, *, once: bool) -> bool:
    """Judge what comes until the replay is over or a stop is asked for; returns whether the agent failed."""
    read = 0
    while not stop.asked:
        over = agent.poll() is not None
        count = service.step(timeout=0.0 if over else 0.2)
        read += count
        bar.label = "learn " if service.learning else "judge "
        left = service.lag()
        bar.show(read, read + left, f"{read:,} events")
        if over and not count and not left:
            if agent.returncode and not once:
                raise Problem(f"the agent ended with exit code {agent.returncode}")
            return bool(agent.returncode)
        notify("WATCHDOG=1")
    return False


def _cases(intake: Intake | None) -> None:
    """What the alerts were put together to."""
    if intake is None:
        return
    if not intake.settle(SETTLE):
        sys.stderr.write("nigrani: the case store is not filled yet: nigrani case list\n")
        return
    found = intake.store.cases(Filter(state=ACTIVE), limit=SHOWN)
    sys.stdout.write(f"── {found.total} open cases; one as a story: nigrani case show NUMBER --store {intake.store.path}\n")
    sys.stdout.writelines(f"── {line}\n" for line in lines(HEAD, map(row, found.items)))
    sys.stdout.flush()


def _summary(service: Service, seconds: float, labels: Labels | None) -> None:
    counters = service.counters
    kinds = Counter({name: service.totals[kind] for name, kind in DATASETS.items() if service.totals[kind]})
    lines = [f"{counters.events:,} events in {seconds:.1f} s: " + ", ".join(f"{n:,} {k}" for k, n in kinds.most_common())]
    if service.learnt:
        lines.append("learnt from {events:,} events: {minutes:,} minutes of {devices} devices".format(**service.learnt))
    lines.append(
        f"judged {counters.windows_judged:,} device-minutes: {service.alerts} alerts; {counters.repeated} repeats and "
        f"{counters.merged} strange minutes belong to them"
    )
    if service.repeats:
        lines.append(f"{service.repeats:,} events were here before and are not judged again; another --state begins anew")
    if service.refused or service.failed or service.missed or counters.shed:
        lines.append(
            f"{service.missed} events dropped from the bus unread, {service.refused} lines refused, {service.failed} events "
            f"not judged, {counters.shed} flows passed over by the heavy models"
        )
    if labels is not None:
        lines += labels.verdict()
    for line in lines:
        sys.stdout.write(f"── {line}\n")
    sys.stdout.flush()
