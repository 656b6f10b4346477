"""Write something down in a case's history."""

from __future__ import annotations

import argparse

from detector.commands.case import declare, store, who


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    declare(parser, number=True)
    parser.add_argument("--text", required=True, help="what")


def run(options: argparse.Namespace) -> int:
    """Note."""
    with store(options) as opened:
        opened.note(options.number, who(), options.text)
    return 0
