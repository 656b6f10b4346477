"""Give a case to somebody, or to nobody."""

from __future__ import annotations

import argparse

from detector.commands.case import declare, store, who


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    declare(parser, number=True)
    parser.add_argument("--to", metavar="NAME", default="", help="whom; nobody where it is left out")


def run(options: argparse.Namespace) -> int:
    """Assign."""
    with store(options) as opened:
        opened.assign(options.number, who(), options.to)
    return 0
