"""Take note of a case: somebody looks at it."""

from __future__ import annotations

import argparse

from detector.commands.case import declare, store, who


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    declare(parser, number=True)


def run(options: argparse.Namespace) -> int:
    """Acknowledge."""
    with store(options) as opened:
        opened.acknowledge(options.number, who())
    return 0
