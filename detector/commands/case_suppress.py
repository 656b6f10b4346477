"""Hear nothing of one kind of finding for a while: they are kept and counted, and open no case.

Without --kind, list the suppressions in force; with --end, end one.
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime, timedelta

import msgspec

from detector.cases.case import Filter, Suppression
from detector.commands.case import declare, store, who
from detector.commands.case_papers import tell
from detector.commands.rules import plain, put
from nigrani.service.duration import duration
from nigrani.service.errors import Usage
from nigrani.service.table import lines

HEAD = ("id", "kind", "device", "until", "by", "findings", "why")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    declare(parser)
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--kind", metavar="KIND", help="a rule's file or an anomaly's slug")
    choice.add_argument("--end", metavar="ID", type=int, help="end this one now")
    parser.add_argument("--device", metavar="DEVICE", help="of one device, by its token; default: of all")
    parser.add_argument("--for", metavar="TIME", type=duration, dest="seconds", help="how long, such as 12h or 7d")
    parser.add_argument("--text", default="", help="why")
    parser.add_argument("--case", metavar="NUMBER", type=int, help="the case that it was decided in")
    parser.add_argument("--json", action="store_true", help="JSON on standard output")


def run(options: argparse.Namespace) -> int:
    """Suppress, end or list."""
    with store(options) as opened:
        if options.end is not None:
            opened.unsuppress(options.end, who())
            return 0
        if options.kind:
            if options.seconds is None:
                raise Usage("--for says how long: a suppression without an end hides the attack that looks like it")
            until = datetime.now(UTC) + timedelta(seconds=options.seconds)
            number = opened.suppress(who(), options.kind, options.device, until, options.text, options.case)
            put(f"suppression {number}: until {until:%Y-%m-%d %H:%M} UTC")
            if not opened.findings(Filter(kind=options.kind), limit=1).items:
                tell(f"there is no finding of kind {plain(options.kind)} yet; nigrani case show NUMBER --json has kinds")
            return 0
        found = opened.suppressions()
    if options.json:
        for one in found:
            put(msgspec.json.encode(one).decode())
    elif found:
        for line in lines(HEAD, map(_row, found)):
            put(line)
    return 0


def _row(one: Suppression) -> tuple[str | int | None, ...]:
    until = one.until.strftime("%Y-%m-%d %H:%M")
    return one.id, plain(one.kind), plain(one.device) or "all", until, plain(one.by), one.findings, plain(one.text)[:60]
