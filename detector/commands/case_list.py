"""List cases, those that are not closed unless asked otherwise; the newest first. Exit code 1 where there are none."""

from __future__ import annotations

import argparse

import msgspec

from detector.cases.case import ACTIVE, MAX_PAGE, ORDERS
from detector.commands.case import HEAD, asked, declare, declare_filter, row, store
from detector.commands.rules import put
from nigrani.service.table import lines


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    declare(parser)
    declare_filter(parser, state=ACTIVE)
    parser.add_argument("--order", choices=ORDERS, default=ORDERS[0], help="by the last event, or by severity first")
    parser.add_argument(
        "--limit", metavar="N", type=int, default=50, help=f"at most so many, {MAX_PAGE} at most (default 50)"
    )
    parser.add_argument("--after", metavar="PLACE", help="go on after a page: what its last line says")
    parser.add_argument("--json", action="store_true", help="JSON on standard output")


def run(options: argparse.Namespace) -> int:
    """List."""
    with store(options) as opened:
        listing = opened.cases(asked(options), order=options.order, limit=options.limit, after=options.after)
    if options.json:
        for case in listing.items:
            put(msgspec.json.encode(case).decode())
    elif listing.items:
        for line in lines(HEAD, map(row, listing.items)):
            put(line)
        if listing.after:
            put(f"{listing.total:,} in all; the next page: --after {listing.after}")
    return 0 if listing.items else 1
