"""The detector's reading end alone: `python -m bench.transport.receive SERVERS TOPIC COUNT`; counts as JSON."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator

from nigrani.stream.codec import decode
from nigrani.stream.kafka.consumer import GroupFeed
from nigrani.stream.kafka.settings import Topics

PATIENCE = 20.0
"""Seconds without an event after which no more are awaited."""


class Stateless:
    """An owner of partitions that keeps nothing."""

    def begin(self, partition: int) -> None:
        """See `Owner`."""

    def end(self, partition: int) -> None:
        """See `Owner`."""

    def lost(self, partition: int) -> None:
        """See `Owner`."""


def lines(servers: str, topic: str, count: int) -> Iterator[list[bytes]]:
    """What each poll brings, until so many events have come or none come any more; empty where a poll brings none."""
    feed = GroupFeed(Topics(servers=(servers,), topic=topic, group=topic))
    feed.start(Stateless())
    left, heard = count, time.monotonic()
    try:
        while left > 0 and time.monotonic() - heard < PATIENCE:
            found = [line for delivery in feed.poll(0.5) for line in delivery.lines]
            yield found
            left -= len(found)
            if found:
                heard = time.monotonic()
    finally:
        feed.close()


def main() -> None:
    """Read and decode."""
    count = 0
    for found in lines(sys.argv[1], sys.argv[2], int(sys.argv[3])):
        for line in found:
            decode(line)
        count += len(found)
    print(json.dumps({"events": count}))


if __name__ == "__main__":
    main()
