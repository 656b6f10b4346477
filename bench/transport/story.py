"""Streams of events of several agents, as long as need be: the bundled morning again and again."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import yaml

from nigrani.stream.codec import decode, encode_lines
from nigrani.stream.event import Event

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "tests" / "data" / "morning"
CYCLE = timedelta(minutes=45)
"""After so long the morning begins again; it lasts a little less."""
TAIL = timedelta(minutes=20)
"""Benign minutes at the end of each stream, so that no alert hangs on what is still open."""


def nigrani(state: Path, *words: str | Path) -> None:
    """Run a verb of the command to its end. Raises CalledProcessError."""
    environment = {**os.environ, "NIGRANI_STATE": str(state)}
    subprocess.run([sys.executable, "-m", "nigrani.cli", *map(str, words)], check=True, cwd=ROOT, env=environment)


def morning(folder: Path, number: int) -> list[Event]:
    """One agent's events of one morning, in its order; its key is its own, so its hosts are too."""
    file = folder / f"agent-{number}.ndjson"
    if not file.exists():
        settings = ["--config", SAMPLE / "agent.yaml", "--set", f"name=agent-{number}"]
        captures = [SAMPLE / "capture.pcap", SAMPLE / "ai-gateway.log"]
        nigrani(folder / f"agent-{number}", "agent", "replay", *captures, *settings, "--events", file)
    return [decode(line) for line in file.read_bytes().splitlines()]


def benign(events: list[Event], phase: str = "learn") -> list[Event]:
    """Those of a morning's events that lie in one phase of its labels."""
    labels = yaml.safe_load((SAMPLE / "labels.yaml").read_bytes())
    found = next(one for one in labels["phases"] if one["name"] == phase)
    start, end = (datetime.fromtimestamp(found[edge], events[0].timestamp.tzinfo) for edge in ("start", "end"))
    return [event for event in events if start <= event.timestamp < end]


def stream(events: list[Event], cycles: int) -> Iterator[Event]:
    """The morning so many times over, then benign minutes; ids and sequence go on as one boot's."""
    boot = events[0].id[:16]
    number = 0
    tail = [event for event in events if event.timestamp < events[0].timestamp + TAIL]
    for cycle in range(cycles + 1):
        for event in events if cycle < cycles else tail:
            yield msgspec.structs.replace(
                event, timestamp=event.timestamp + cycle * CYCLE, id=f"{boot}{number:010x}", sequence=number
            )
            number += 1


def write(events: Iterator[Event], path: Path) -> int:
    """Write a stream as NDJSON; returns how many events."""
    count = 0
    with path.open("wb") as file:
        while chunk := [event for _, event in zip(range(5000), events, strict=False)]:
            file.write(encode_lines(chunk))
            count += len(chunk)
    return count


def count(path: Path) -> int:
    """How many events a stream has."""
    with path.open("rb") as file:
        return sum(1 for _ in file)


def make(folder: Path, agents: int, cycles: int) -> list[Path]:
    """Streams of so many agents, and a baseline of their benign part with its key: `baseline.npz`, `baseline.pub`."""
    mornings = [morning(folder, number) for number in range(agents)]
    lesson = folder / "lesson.ndjson"
    lesson.write_bytes(b"".join(encode_lines(benign(events)) for events in mornings))
    nigrani(folder, "detector", "train", lesson, "--out", folder / "baseline.npz")
    paths = []
    for number, events in enumerate(mornings):
        path = folder / f"stream-{number}.ndjson"
        write(stream(events, cycles), path)
        paths.append(path)
    return paths
