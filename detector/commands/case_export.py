"""Findings as NDJSON of OCSF (class 2004), each with how its case stands now; the newest first."""

from __future__ import annotations

import argparse
import sys

from msgspec import structs

from detector.commands.case import asked, declare, declare_filter, store, who
from detector.commands.rules import put


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    declare(parser)
    declare_filter(parser)
    parser.add_argument("--case", metavar="NUMBER", type=int, default=0, help="of one case alone")
    parser.add_argument("--suppressed", choices=("yes", "no"), help="only those, or none of those, that were suppressed")


def run(options: argparse.Namespace) -> int:
    """Export, and note it in the history."""
    suppressed = None if options.suppressed is None else options.suppressed == "yes"
    wanted = structs.replace(asked(options), case=options.case, suppressed=suppressed)
    count = 0
    with store(options) as opened:
        if options.case and opened.case(options.case) is None:
            raise LookupError(f"there is no case {options.case}")
        for line in opened.export(wanted):
            put(line.decode())
            count += 1
        opened.record(options.case or None, who(), "exported", f"{count:,} findings")
    sys.stderr.write(f"nigrani: {count:,} findings\n")
    return 0
