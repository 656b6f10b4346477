"""Write what a Kafka topic holds as NDJSON: `nigrani topics cat --since 7d | nigrani detector train - --out baseline.npz`.

Reads up to the end as of now, outside of any group, in the order in which messages came.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from itertools import islice

from nigrani.commands.topics import configured, declare
from nigrani.service.duration import duration
from nigrani.service.errors import Usage
from nigrani.service.progress import Progress
from nigrani.stream.kafka.settings import Topics


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    declare(parser)
    parser.add_argument("--topic", choices=("events", "alerts"), default="events", help="default: events")
    parser.add_argument("--since", metavar="TIME", type=duration, help="how far back, such as 7d; default: all that is kept")
    parser.add_argument("--limit", metavar="N", type=int, help="at most so many lines")


def run(options: argparse.Namespace) -> int:
    """Copy."""
    if options.limit is not None and options.limit < 0:
        raise Usage("--limit must be at least 0")
    topics = configured(options)
    refused = 0

    def refuse() -> None:
        nonlocal refused
        refused += 1

    with Progress("read ") as bar:
        for line in islice(_lines(topics, options, bar, refuse), options.limit):
            sys.stdout.buffer.write(line + b"\n")
    sys.stdout.flush()
    if refused:
        sys.stderr.write(f"nigrani: {refused} messages hold no events, and were left out\n")
    return 0


def _lines(topics: Topics, options: argparse.Namespace, bar: Progress, refuse: Callable[[], None]) -> Iterator[bytes]:
    from nigrani.stream.kafka.message import lines_of  # noqa: PLC0415 - as the next
    from nigrani.stream.kafka.past import Past  # noqa: PLC0415 - needs kafka-python

    past = Past(topics, topics.topic if options.topic == "events" else topics.alerts)
    since = time.time() - options.since if options.since else 0.0
    for count, (value, headers) in enumerate(past.read(since)):
        if not count & 1023:
            bar.show(count, past.total, f"{count:,} messages")
        if value is None and options.topic == "alerts":
            continue  # an alert taken back
        try:
            yield from lines_of(value, headers)
        except ValueError:
            refuse()
