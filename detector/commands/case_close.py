"""Close a case: how it ended, and why. The verdict counts in the figures on false alarms."""

from __future__ import annotations

import argparse

from detector.cases.case import VERDICTS
from detector.commands.case import declare, store, who
from detector.commands.rules import put


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    declare(parser, number=True)
    parser.add_argument("--verdict", choices=VERDICTS, required=True, help="expected: it happened, and was meant to")
    parser.add_argument("--text", required=True, help="why, for whoever reads it next year")


def run(options: argparse.Namespace) -> int:
    """Close."""
    with store(options) as opened:
        opened.close(options.number, who(), options.verdict, options.text)
    put(f"#{options.number} is closed: {options.verdict}")
    return 0
