"""Read all of a spool and tell each fault, a line each; exit code 1 where there are any.

A batch that is being written at this moment looks like a torn one: look twice while a writer is at work.
"""

from __future__ import annotations

import argparse
import sys

from nigrani.commands.spool import declare, folder
from nigrani.stream.spool import verify


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    declare(parser)


def run(options: argparse.Namespace) -> int:
    """Read, and tell."""
    path = folder(options)
    faults = 0
    for fault in verify(path):
        faults += 1
        sys.stdout.write(f"{path / fault.file}:{fault.position}: {fault.reason}\n")
    return 1 if faults else 0
