"""Write the events that a spool holds as NDJSON, without committing anything.

With --group those that the group has not committed yet.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from nigrani.commands.spool import declare, folder
from nigrani.service.errors import Problem, Usage
from nigrani.stream.bus import Place
from nigrani.stream.layout import existing, groups
from nigrani.stream.segment import Cursor, segments


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    declare(parser)
    parser.add_argument("--group", metavar="NAME", help="from where this group of readers is")
    parser.add_argument("--limit", metavar="N", type=int, help="at most so many events")


def run(options: argparse.Namespace) -> int:
    """Copy."""
    if options.limit is not None and options.limit < 0:
        raise Usage("--limit must be at least 0")
    directory = existing(folder(options))
    place = _place(directory, options.group)
    for line in islice(_lines(Cursor(directory, place)), options.limit):
        sys.stdout.buffer.write(line + b"\n")
    sys.stdout.flush()
    return 0


def _place(directory: Path, group: str | None) -> Place:
    """Where to begin; the oldest batch where the group committed nothing."""
    known = dict(groups(directory))
    if group is not None and group not in known:
        there = ", ".join(known) or "none"
        raise Problem(f"{directory} has no group {group}: there are {there}")
    oldest = next(iter(segments(directory)), None)
    first = Place(oldest.offset, oldest.event) if oldest else Place(0, 0)
    return (known[group] if group else None) or first


def _lines(cursor: Cursor) -> Iterator[bytes]:
    try:
        while record := cursor.next():
            yield from record.payload.splitlines()
    finally:
        cursor.close()
