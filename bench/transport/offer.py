"""An agent's own side of the road without its capture: events of a file into its spool, at a steady rate.

Killed at any moment and started again it goes on with the first event that its spool does not have: each is offered once.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Iterator
from pathlib import Path

from nigrani.stream.spool import Spool

BEATS = 10
"""Batches a second, as an agent's own turns."""


def chunks(path: Path, skip: int, size: int) -> Iterator[list[bytes]]:
    """The lines of a file after the first `skip`, so many at a time."""
    with path.open("rb") as file:
        lines = itertools.islice(file, skip, None)
        while chunk := list(itertools.islice(lines, size)):
            yield chunk


def main() -> None:
    """Offer, and end with the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=Path, required=True)
    parser.add_argument("--spool", type=Path, required=True)
    parser.add_argument("--rate", type=float, required=True, help="events a second")
    options = parser.parse_args()
    with Spool.open(options.spool) as spool:
        due = time.monotonic()
        for chunk in chunks(options.events, spool.next_event, max(1, round(options.rate / BEATS))):
            spool.publish(b"".join(chunk), len(chunk))
            due += len(chunk) / options.rate
            time.sleep(max(due - time.monotonic(), 0))


if __name__ == "__main__":
    main()
