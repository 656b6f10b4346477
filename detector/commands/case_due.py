"""Say how a case's report to an authority stands; of a case that had none to make, that one is due."""

from __future__ import annotations

import argparse

from detector.cases.case import AUTHORITIES, DEADLINE_STATES
from detector.commands.case import declare, store, who
from detector.commands.rules import put


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    declare(parser, number=True)
    parser.add_argument("--for", dest="authority", choices=tuple(AUTHORITIES), required=True, help="whom the report is for")
    parser.add_argument("--state", choices=DEADLINE_STATES, required=True, help="how it stands")
    parser.add_argument("--reference", metavar="TEXT", default="", help="what the authority calls the report")


def run(options: argparse.Namespace) -> int:
    """Set it."""
    with store(options) as opened:
        opened.deadline(options.number, who(), options.authority, options.state, options.reference)
    put(f"#{options.number}: the report to {options.authority} is {options.state}")
    return 0
