"""Read rule files and run the rules' own tests: every fault and warning of every file, with its line and the remedy.

Without PATH the shipped rules and the site's, as a detector would load them; with PATH those files and folders alone.
Exit code 78 where there are faults; warnings are told, and are none.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from detector.commands.rules import configured, declare, folders, put_faults, read
from nigrani.service.plural import plural


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("paths", metavar="PATH", nargs="*", type=Path, help="a rule file or a folder of them")
    declare(parser)


def run(options: argparse.Namespace) -> int:
    """Check."""
    loader = read(options.paths or folders(options, configured(options)))
    put_faults(loader.faults, "fault", as_json=options.json)
    put_faults(loader.warnings, "warning", as_json=options.json)
    read_, found = plural(len(loader.rules), "rule"), plural(len(loader.faults), "fault")
    sys.stderr.write(
        f"nigrani: {read_}, {plural(len(loader.outcomes), 'test')}; {found}, {plural(len(loader.warnings), 'warning')}\n"
    )
    return 78 if loader.faults else 0
