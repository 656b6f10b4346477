"""Print the least rights that agents and detectors need, as commands for the administrator of the Kafka cluster.

With --apply they are given at once, by the user that detector.yaml connects as, who must be allowed to.
"""

from __future__ import annotations

import argparse
import sys

from nigrani.commands.topics import configured, declare
from nigrani.service.errors import Usage
from nigrani.service.table import lines


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    declare(parser)
    parser.add_argument("--agent", metavar="USER", nargs="+", default=[], help="SCRAM users or certificates' principals")
    parser.add_argument("--detector", metavar="USER", nargs="+", default=[], help="the same of detectors")
    parser.add_argument("--table", action="store_true", help="a table in place of commands")
    parser.add_argument("--apply", action="store_true", help="give the rights")


def run(options: argparse.Namespace) -> int:
    """Print or give."""
    if not options.agent and not options.detector:
        raise Usage("name users with --agent or --detector")
    topics = configured(options)
    from nigrani.stream.kafka import access  # noqa: PLC0415 - needs kafka-python
    from nigrani.stream.kafka.topics import Admin  # noqa: PLC0415 - as above

    rights = access.rights(topics, options.agent, options.detector)
    if options.table or options.apply:
        shown = lines(("user", "kind", "name", "operation"), rights)
    else:
        shown = access.commands(rights, topics.servers)
    for line in shown:
        sys.stdout.write(line + "\n")
    if options.apply:
        with Admin(topics) as admin:
            access.apply(admin, rights)
        sys.stderr.write(f"nigrani: {len(rights)} rights given\n")
    return 0
