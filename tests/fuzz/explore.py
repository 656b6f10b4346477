"""Explores one target, guided by coverage of its interpreted form: `NIGRANI_PURE=1 python -m tests.fuzz.explore NAME …`.

Needs atheris. An exception that the target does not expect is a find: its input is made small and kept, and exploring goes
on. An input that takes too long is a find too.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

SLOW = 1.0
"""Seconds of processor for one input, interpreted and instrumented."""
SMALLER = 2000
"""Runs spent on making an input smaller."""
MOST = 20
"""Finds of one target."""
MEMORY = 2048
"""Megabytes."""
SEEN = ("agent", "nigrani", "detector", "yaml")
"""Packages whose ways are seen."""


class Finds:
    """Inputs that a target did not bear, one for each place in which it failed."""

    def __init__(self, run: Callable[[bytes], object], folder: Path) -> None:
        self._run = run
        self._folder = folder
        self.places: dict[str, str] = {}
        """Where it failed → the name of the input's file."""

    def try_(self, data: bytes) -> None:
        """Run it; keep it where it fails in a new place."""
        place = self._fails(data)
        if place and place not in self.places and len(self.places) < MOST:
            small = self._smaller(data, place)
            name = f"{len(self.places)}-{sum(small) & 0xFFFF:04x}"
            (self._folder / name).write_bytes(small)
            self.places[place] = name
            sys.stderr.write(f"FOUND {place} by {name}, {len(small)} bytes\n")

    def _fails(self, data: bytes) -> str:
        begin = time.process_time()
        try:
            self._run(data)
        except Exception as error:  # noqa: BLE001 - all but what the target itself expects are finds
            frame = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}"
            if isinstance(error, AssertionError):
                return place
            return f"{place}: {re.sub(r'[0-9]+', 'N', str(error).splitlines()[0] if str(error) else '')[:100]}"
        return "slow" if time.process_time() - begin > SLOW else ""

    def _smaller(self, data: bytes, place: str) -> bytes:
        """Leave out what is not needed to fail there."""
        left = SMALLER
        step = max(len(data) // 2, 1)
        end = time.monotonic() + 30
        while step and left and time.monotonic() < end:
            at = 0
            while at < len(data) and left and time.monotonic() < end:
                left -= 1
                less = data[:at] + data[at + step :]
                if self._fails(less) == place:
                    data = less
                else:
                    at += step
            step //= 2
        return data


def main(name: str, seconds: int, corpus: Path) -> None:
    """Explore until the time is over; what is said at the end is one JSON object on standard output."""
    import atheris  # noqa: PLC0415 - only where it is installed

    import agent  # noqa: F401, PLC0415 - its interpreted modules are to be found before atheris looks for them

    with atheris.instrument_imports(include=list(SEEN)):
        from tests.fuzz.target import FOUND, scratch  # noqa: PLC0415 - under instruments
        from tests.fuzz.targets import target  # noqa: PLC0415 - as above

        found = target(name)
    inputs, kept = corpus / "inputs", corpus / "finds"
    for folder in (inputs, kept):
        folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate([*found.seeds(), *(path.read_bytes() for path in (FOUND / name).glob("*"))]):
        (inputs / f"seed-{number}").write_bytes(seed)
    finds = Finds(found.run, kept)
    state = {"runs": 0}
    end = time.monotonic() + seconds

    def one(data: bytes) -> None:
        state["runs"] += 1
        finds.try_(data)
        if time.monotonic() >= end:
            sys.stdout.write(json.dumps({"runs": state["runs"], "finds": finds.places}) + "\n")
            sys.stdout.flush()
            shutil.rmtree(scratch(), ignore_errors=True)
            os._exit(0)  # libFuzzer knows no other way to end

    options = [
        f"-max_len={found.limit}",
        f"-rss_limit_mb={MEMORY}",
        "-timeout=60",
        "-verbosity=1",
        f"-artifact_prefix={kept}/",
    ]
    atheris.Setup([sys.argv[0], *options, str(inputs)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
