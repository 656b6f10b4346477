"""Learn a baseline from events of a time that is taken for benign.

The baseline holds habits, models and sets as numbers, and no event. It is signed with this host's key.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from detector.inputs import Inputs
from detector.setup import save_baseline
from nigrani.service.errors import Problem
from nigrani.service.progress import Progress


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("events", metavar="EVENTS", nargs="+", help="NDJSON of events; - is standard input")
    parser.add_argument("--out", metavar="BASELINE", type=Path, required=True, help="the file to write, .npz")


def run(options: argparse.Namespace) -> int:
    """Read the events, learn, write."""
    from detector.learn import Lesson  # noqa: PLC0415 - numpy is loaded only where something is learnt

    inputs = Inputs(options.events)
    lesson = Lesson()
    with Progress("read") as bar:
        for event in inputs.read(bar.show):
            lesson.add(event)
    inputs.finish()
    try:
        baseline = lesson.baseline()
    except ValueError as error:
        raise Problem(f"nothing learnt: {error}") from None
    save_baseline(baseline, options.out)
    counts = baseline.header["counts"]
    sys.stderr.write(
        f"nigrani: learnt {counts['events']} events, {counts['minutes']} minutes of {counts['devices']} devices, "
        f"{counts['flows']} flows, the classes of {counts['classified']} devices → {options.out}\n"
    )
    if lesson.dropped:
        sys.stderr.write(f"nigrani: {lesson.dropped} events beyond the lesson's bound were not learnt\n")
    return 0
