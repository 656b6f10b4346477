"""Show what a spool holds, and for each group of readers how far behind it is and what it missed.

Reads the spool's files alone, and disturbs neither its writer nor its readers.
"""

from __future__ import annotations

import argparse
import sys

import msgspec

from nigrani.commands.spool import declare, folder
from nigrani.service.table import lines
from nigrani.stream.spool import Stat, stat

HEAD = ("group", "next batch", "batches behind", "events behind", "batches missed", "events missed")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    declare(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(options: argparse.Namespace) -> int:
    """Look, and tell."""
    found = stat(folder(options))
    if options.json:
        told = found._asdict() | {"groups": {name: group._asdict() for name, group in found.groups.items()}}
        sys.stdout.write(msgspec.json.encode(told).decode() + "\n")
    else:
        _print(found)
    return 0


def _print(found: Stat) -> None:
    batches = found.next_offset - found.first_offset
    sys.stdout.write(
        f"{found.events:,} events in {batches:,} batches, {found.bytes:,} bytes in {found.segments:,} segments\n"
    )
    sys.stdout.write(f"{found.dropped_events:,} events in {found.dropped_records:,} batches dropped since the spool began\n")
    if found.groups:
        sys.stdout.write("\n")
        for line in lines(HEAD, ((name, *group) for name, group in found.groups.items())):
            sys.stdout.write(line + "\n")
