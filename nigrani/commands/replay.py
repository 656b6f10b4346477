"""Captures and log files to alerts, in one process: agent and detector without a bus between them.

Without --baseline only rules alert. Exit code 1 where there were alerts or a file could not be read.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from agent.commands.replay import tell
from agent.config import AgentConfig
from agent.replay import Replay, fingerprint, open_inputs
from agent.setup import make_pipeline, make_privacy
from detector.commands import score
from detector.setup import load_knowledge, load_rules
from nigrani.service.config import load
from nigrani.service.progress import Progress

if TYPE_CHECKING:
    from detector.engine import Engine
    from nigrani.stream.event import Event


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("files", metavar="FILE", nargs="+", type=Path, help="a capture or a log file")
    parser.add_argument("--config", metavar="FILE", type=Path, help="agent.yaml")
    score.options(parser)


class _Straight:
    """The way from the agent's pipeline into the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def write(self, events: list[Event]) -> None:
        """Feed the events, in order."""
        for event in events:
            self._engine.feed(event)

    def flush(self) -> None:
        """Nothing waits."""


def run(options: argparse.Namespace) -> int:
    """Replay the files."""
    from detector.engine import Engine  # noqa: PLC0415 - numpy is loaded only where something is scored

    config = load(AgentConfig, options.config)
    inputs = open_inputs(options.files)
    tell(inputs.problems)
    if not inputs.sources:
        return 1
    knowledge = load_knowledge(options.baseline, options.trust) if options.baseline else None
    printer = score.Printer(json=options.json)
    devices = score.named(options.devices)
    engine = Engine(load_rules(options.rules), printer, knowledge, options.false_alarms_per_week, devices=devices)
    if knowledge is None:
        sys.stderr.write("nigrani: no baseline: rules alone, and none of those that ask what is new\n")
    pipeline = make_pipeline(config, make_privacy(config, fingerprint(inputs.paths)), _Straight(engine))
    with Progress("replay") as bar:
        faults = Replay(inputs.sources, pipeline).run(lambda done, total, _when: bar.show(done, total))
    engine.close()
    tell(faults)
    sys.stderr.write(f"nigrani: {pipeline.events} events, {printer.count} alerts\n")
    return 1 if inputs.problems or printer.count else 0
