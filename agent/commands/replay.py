"""Turn captures (pcap, pcapng) and log files into events, without patient data or addresses.

Each file's kind is told by its content. Events come as NDJSON, or go onto the embedded bus with --bus.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from agent.config import AgentConfig
from agent.replay import Replay, fingerprint, open_inputs
from agent.setup import make_pipeline, make_privacy
from agent.sink import BusSink, StreamSink
from nigrani.service.config import load
from nigrani.service.errors import Problem, Usage
from nigrani.service.progress import Progress

if TYPE_CHECKING:
    from agent.pipeline import Sink


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("files", metavar="FILE", nargs="+", type=Path, help="a capture or a log file")
    parser.add_argument("--events", metavar="FILE", default="-", help="write NDJSON there; - is standard output")
    parser.add_argument("--bus", metavar="DIR", type=Path, help="put the events onto the embedded bus in this folder")
    parser.add_argument("--config", metavar="FILE", type=Path, help="agent.yaml")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="override one setting")
    parser.add_argument("--summary", action="store_true", help="print counters as JSON on standard error")


def run(options: argparse.Namespace) -> int:
    """Replay the files; 1 where one of them could not be read at all."""
    config = load(AgentConfig, options.config, options.set)
    inputs = open_inputs(options.files)
    tell(inputs.problems)
    if not inputs.sources:
        return 1
    with _sink(options, config) as sink:
        privacy = make_privacy(config, fingerprint(inputs.paths))
        pipeline = make_pipeline(config, privacy, sink)
        replay = Replay(inputs.sources, pipeline)
        with Progress("replay") as bar:
            faults = replay.run(lambda done, total, _when: bar.show(done, total))
    tell(faults)
    if options.summary:
        summary = {**pipeline.meter.counters(), "events": pipeline.events, **replay.faults}
        sys.stderr.write(json.dumps(summary) + "\n")
    return 1 if inputs.problems else 0


def tell(lines: Iterable[object]) -> None:
    """Each on a line of standard error."""
    for line in lines:
        sys.stderr.write(f"nigrani: {line}\n")


@contextmanager
def _sink(options: argparse.Namespace, config: AgentConfig) -> Iterator[Sink]:
    if options.bus is not None:
        if options.events != "-":
            raise Usage("--events and --bus: name one of them")
        from nigrani.stream.spool import Spool  # noqa: PLC0415 - only where a bus is asked for

        try:
            spool = Spool.open(options.bus, max_bytes=config.bus.max_bytes, fsync=config.bus.fsync)
        except (OSError, ValueError) as error:
            raise Problem(str(error)) from None
        sink = BusSink(spool)
        try:
            yield sink
        finally:
            spool.close()
        if sink.lost:
            raise Problem(f"{options.bus}: no room for {sink.lost} events, which are lost; free disk space and replay again")
    elif options.events == "-":
        yield StreamSink(sys.stdout.buffer)
        sys.stdout.buffer.flush()
    else:
        try:
            with Path(options.events).open("wb", buffering=1 << 20) as file:
                yield StreamSink(file)
        except OSError as error:
            raise Problem(f"{options.events}: {error.strerror or error}") from None
