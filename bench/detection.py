"""Events to alerts, and what stands beside it."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

from bench.measure import ROOT, Command, Counts, Once, Row, Task, run, take_turns

WHOLE = "nigrani detector score: rules and baseline"
RULES = "nigrani detector score: rules alone"


class Failed(Exception):  # noqa: N818 - a step that did not work, told to the user
    """A step of the preparation did not work."""


class Lesson(NamedTuple):
    """What the detector is measured on."""

    events: Path
    judged: int
    baseline: Path
    trained_on: int
    train_seconds: float
    """CPU."""


def prepare(folder: Path, flows: int, lesson_flows: int) -> Lesson:
    """Two captures of the same kind of traffic to events: one to learn from, one to judge."""
    lesson, count = _events(folder, "lesson", lesson_flows, seed=101)
    events, judged = _events(folder, "judged", flows, seed=102)
    baseline = folder / "baseline.npz"
    trained = _do(folder, "-m", "nigrani.cli", "detector", "train", lesson, "--out", baseline)
    return Lesson(events, judged, baseline, count, trained.cpu)


def _events(folder: Path, name: str, flows: int, seed: int) -> tuple[Path, int]:
    """At the rate and mix of the main capture; heads of packets suffice, and fewer of the packets between them."""
    capture, events = folder / f"{name}.pcap", folder / f"{name}.ndjson"
    size = ["--flows", flows, "--packets", flows * 20, "--seconds", max(flows * 3 // 100, 60), "--snap", 512]
    _do(folder, "-m", "bench.traffic", capture, "--seed", seed, *size)
    done = _do(folder, "-m", "nigrani.cli", "agent", "replay", capture, "--events", events, "--summary")
    capture.unlink()
    return events, int(json.loads(done.err.splitlines()[-1])["events"])


def _do(folder: Path, *words: object) -> Once:
    done = run([sys.executable, *map(str, words)], {"NIGRANI_STATE": str(folder)})
    if done.status:
        raise Failed(f"{' '.join(map(str, words[:5]))}: {(done.err.strip() or 'no message').splitlines()[-1]}")
    return done


def _score(once: Once) -> Counts:
    found = re.search(r"(\d+) events, (\d+) alerts", once.err)
    return {"events": int(found[1]), "alerts": int(found[2])} if found else {}


def _json(once: Once) -> Counts:
    counts: Counts = json.loads(once.out.splitlines()[-1])
    return counts


def compare(lesson: Lesson, repeat: int, until: float) -> list[Row]:
    """Whole processes, start-up included."""
    score: Command = [sys.executable, "-m", "nigrani.cli", "detector", "score", lesson.events, "--json"]
    state = {"NIGRANI_STATE": str(lesson.events.parent)}
    either = frozenset({0, 1})
    right = {"events": lesson.judged}
    peers: Command = [sys.executable, ROOT / "bench" / "peers.py", "json", lesson.events]
    decode: Command = [sys.executable, "-m", "bench.own", "decode", lesson.events]
    tasks = [
        Task(WHOLE, [*score, "--baseline", lesson.baseline], lesson.judged, _score, right, state, either),
        Task(RULES, score, lesson.judged, _score, right, state, either),
        Task("lines to typed events, nothing else", decode, lesson.judged, _json, right),
        Task("json.loads of each line, nothing else", peers, lesson.judged, _json, right),
    ]
    return take_turns(tasks, repeat, until)


def side_figures(lesson: Lesson) -> dict[str, Any]:
    """Models and the spool, measured inside one process each."""
    figures: dict[str, Any] = {}
    for name in ("models", "spool"):
        done = run([sys.executable, "-m", "bench.own", name, lesson.events])
        if done.status:
            figures[name] = {"missing": (done.err.strip() or "no message").splitlines()[-1]}
        else:
            figures[name] = json.loads(done.out.splitlines()[-1])
    return figures
