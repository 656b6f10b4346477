"""Open a closed case again."""

from __future__ import annotations

import argparse

from detector.commands.case import declare, store, who


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    declare(parser, number=True)
    parser.add_argument("--text", required=True, help="why")


def run(options: argparse.Namespace) -> int:
    """Reopen."""
    with store(options) as opened:
        opened.reopen(options.number, who(), options.text)
    return 0
