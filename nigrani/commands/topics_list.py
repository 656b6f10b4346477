"""Show the Kafka topics that detector.yaml names: partitions, replicas, size, and what the detectors are behind.

Exit code 1 where a topic is missing or a partition lacks a replica.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

import msgspec

from nigrani.commands.topics import configured, declare
from nigrani.service.table import Cell, lines

if TYPE_CHECKING:
    from nigrani.stream.kafka.topics import Use

HEAD = ("topic", "partitions", "replicas", "out of sync", "messages", "bytes", "lag")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    declare(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object a topic")


def run(options: argparse.Namespace) -> int:
    """Ask, and tell."""
    topics = configured(options)
    from nigrani.stream.kafka.topics import Admin  # noqa: PLC0415 - needs kafka-python

    with Admin(topics) as admin:
        uses = {name: admin.use(name) for name in (topics.topic, topics.alerts, topics.state)}
    rows = [_row(name, use) for name, use in uses.items()]
    if options.json:
        for row in rows:
            sys.stdout.buffer.write(
                msgspec.json.encode({key.replace(" ", "_"): cell for key, cell in zip(HEAD, row, strict=True)}) + b"\n"
            )
        sys.stdout.flush()
    else:
        for line in lines(HEAD, rows):
            sys.stdout.write(line + "\n")
    return 1 if any(use is None or use.found.lacking for use in uses.values()) else 0


def _row(name: str, use: Use | None) -> tuple[Cell, ...]:
    if use is None:
        return (name, *[None] * (len(HEAD) - 1))
    found = use.found
    return name, found.partitions, found.copies, found.lacking, use.messages, use.bytes, use.lag
