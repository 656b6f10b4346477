"""What the verbs of the spool have in common."""

from __future__ import annotations

import argparse
from pathlib import Path

from nigrani.service.key import state_folder


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare which spool."""
    parser.add_argument("dir", metavar="DIR", type=Path, nargs="?", help="its folder; default: bus in the state folder")


def folder(options: argparse.Namespace) -> Path:
    """The spool's folder."""
    return options.dir or state_folder() / "bus"
