"""Make the Kafka topics that detector.yaml names, or tell how they differ from what they should be.

Exit code 1 where they differ; --alter brings settings and the number of partitions to what they should be. Adding partitions
to the events moves devices between partitions: what detectors know of them begins anew, so do it with all agents stopped
and read to the end.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from nigrani.commands.topics import configured, declare
from nigrani.service.duration import duration
from nigrani.service.errors import Usage

if TYPE_CHECKING:
    from nigrani.stream.kafka.topics import Admin, Found, Shape


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    declare(parser)
    parser.add_argument("--partitions", metavar="N", type=int, help="of each topic; default: as they are, or 6")
    parser.add_argument(
        "--replication", metavar="N", type=int, choices=(1, 2, 3), help="default: as many as brokers, up to 3"
    )
    parser.add_argument("--retention", metavar="TIME", type=duration, help="of events; default: as it is, or 7d")
    parser.add_argument("--alter", action="store_true", help="change topics that are there already")


def run(options: argparse.Namespace) -> int:
    """Make, compare, alter."""
    if options.partitions is not None and options.partitions < 1:
        raise Usage("--partitions must be at least 1")
    topics = configured(options)
    from nigrani.stream.kafka.topics import COPIES, PARTITIONS, RETENTION, Admin, shapes  # noqa: PLC0415 - needs kafka-python

    faults = 0
    with Admin(topics) as admin:
        events = admin.find(topics.topic)
        partitions = options.partitions or (events.partitions if events else PARTITIONS)
        copies = options.replication or (events.copies if events else min(admin.brokers(), COPIES))
        retention = options.retention or (float(events.settings["retention.ms"]) / 1000 if events else RETENTION)
        for shape in shapes(topics, partitions, copies, retention):
            found = admin.find(shape.name)
            if found is None:
                admin.create(shape)
                sys.stdout.write(f"{shape.name}: made, with {shape.partitions} partitions of {shape.copies} replicas\n")
                continue
            if options.alter:
                found = _alter(admin, shape, found)
            faults += _tell(shape, found)
    return 1 if faults else 0


def _alter(admin: Admin, shape: Shape, found: Found) -> Found:
    if found.partitions < shape.partitions:
        more = shape.partitions - found.partitions
        sys.stderr.write(f"nigrani: {shape.name} gets {more} more partitions: devices move between partitions\n")
    admin.alter(shape, found)
    return admin.find(shape.name) or found


def _tell(shape: Shape, found: Found) -> int:
    """Tell each difference; returns how many there are."""
    from nigrani.stream.kafka.topics import differences  # noqa: PLC0415 - as above

    faults = list(differences(shape, found))
    for text in faults or ["as it should be"]:
        sys.stdout.write(f"{shape.name}: {text}\n")
    return len(faults)
