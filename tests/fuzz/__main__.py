"""Fuzz the parsers: each for some minutes, guided by coverage, then all that was found interesting in either form.

`make fuzz`, or `make fuzz ARGS="--seconds 60 --only dicom"`. Inputs worth keeping stay in `.fuzz`, for the next time.
What a parser did not bear is in `.fuzz/NAME/finds`, made small; mended, it belongs under `tests/data/found/NAME`.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from shutil import copytree, rmtree
from typing import NamedTuple

from tests.fuzz.replay import elsewhere
from tests.fuzz.target import ROOT
from tests.fuzz.targets import NAMES, WHERE

OVERTIME = 120
"""Seconds that a target may need beyond its own: to begin, and to make a find small."""
COMPILED = {*WHERE["conversations"], *WHERE["packets"]} - {"exclude"}


class Explored(NamedTuple):
    """What one target's time brought."""

    runs: int
    inputs: int
    finds: dict[str, str]


def explore(name: str, seconds: int, corpus: Path) -> Explored:
    """Explore one target in a process of its own."""
    folder = corpus / name
    environment = {**os.environ, "NIGRANI_PURE": "1"}
    command = [sys.executable, "-m", "tests.fuzz.explore", name, str(seconds), str(folder)]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log").open("wb") as log:
        try:
            done = subprocess.run(
                command,
                env=environment,
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=log,
                timeout=seconds + OVERTIME,
                check=False,
            )
            told = json.loads(done.stdout.splitlines()[-1])
        except (subprocess.TimeoutExpired, IndexError, ValueError):
            told = {"runs": 0, "finds": {f"did not end well: see {folder / 'log'}": ""}}
    return Explored(told["runs"], len(list((folder / "inputs").glob("*"))), told["finds"])


def differences(name: str, corpus: Path, scratch: Path) -> dict[str, str]:
    """Inputs of which the interpreted and the compiled form make different things."""
    rmtree(scratch, ignore_errors=True)
    copytree(corpus / name / "inputs", scratch / name)
    one, other = elsewhere(scratch, pure=True), elsewhere(scratch, pure=False)
    rmtree(scratch)
    return {f"forms differ on {path}": path for path in one if one[path] != other[path]}


def main() -> int:
    """Explore, compare, tell: 0 nothing found, 1 something."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=int, default=300, help="for each parser (default: 300)")
    parser.add_argument("--only", metavar="NAME", action="append", choices=NAMES, help=f"one of: {', '.join(NAMES)}")
    parser.add_argument("--corpus", metavar="DIR", type=Path, default=ROOT / ".fuzz", help="where inputs are kept")
    options = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        sys.stderr.write("atheris is not installed: pip install -e '.[fuzz]' (`make fuzz` does it)\n")
        return 2
    found = 0
    for name in options.only or NAMES:
        told = explore(name, options.seconds, options.corpus)
        finds = told.finds | (differences(name, options.corpus, options.corpus / ".forms") if name in COMPILED else {})
        found += len(finds)
        sys.stdout.write(f"{name:16} {told.runs:>10,} runs {told.inputs:>6,} inputs kept {len(finds):>3} finds\n")
        for place, file in finds.items():
            sys.stdout.write(f"    {place} {file}\n")
        sys.stdout.flush()
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
