"""Packets to flow records: nigrani in four forms, beside the tools that a hospital would otherwise take."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

from bench.measure import ROOT, Command, Counts, Once, Row, Task, say, take_turns

PEERS = ROOT / ".venv-bench"
PACKAGES = ("nfstream>=6.5", "scapy>=2.6", "sigma-rule-matcher>=0.1")
METER, WHOLE, BARE, INTERPRETED = (
    "nigrani meter, all protocol facts",
    "nigrani agent replay: facts, privacy, JSON",
    "nigrani meter, flow records alone",
    "nigrani meter, interpreted",
)


def _json(once: Once) -> Counts:
    counts: Counts = json.loads(once.out.splitlines()[-1])
    return counts


def _summary(once: Once) -> Counts:
    counters: Counts = json.loads(once.err.splitlines()[-1])
    return {name: counters[name] for name in ("packets", "flows")}


_SOFTFLOWD = {"packets": r"Packets processed: (\d+)", "flows": r"Flows expired: (\d+)"}


def _softflowd(once: Once) -> Counts:
    text = once.out + once.err
    found = {name: re.search(pattern, text) for name, pattern in _SOFTFLOWD.items()}
    return {name: int(match[1]) for name, match in found.items() if match}


def compare(capture: Path, totals: Counts, pieces: dict[int, tuple[Path, Counts]], repeat: int, until: float) -> list[Row]:
    """Measure everything that is installed. pieces: packets → a shorter capture for the slow ones, and its totals."""
    tasks, absent = _ours(capture, totals, pieces), []
    for found in (*_tools(capture, totals), *_python_peers(capture, totals, pieces)):
        if isinstance(found, Task):
            tasks.append(found)
        else:
            absent.append(found)
    tasks.append(Task("cat to /dev/null: the floor", ["cat", capture], totals["packets"], discard=True))
    return take_turns(tasks, repeat, until) + absent


def _ours(capture: Path, totals: Counts, pieces: dict[int, tuple[Path, Counts]]) -> list[Task]:
    python, packets = sys.executable, totals["packets"]
    piece, part = pieces[max(pieces)]
    own: Command = [python, "-m", "bench.own"]
    replay: Command = [python, "-m", "nigrani.cli", "agent", "replay", capture, "--events", "/dev/null", "--summary"]
    state = {"NIGRANI_STATE": str(capture.parent)}
    pure = {"NIGRANI_PURE": "1"}
    return [
        Task(METER, [*own, "meter", capture], packets, _json, totals),
        Task(WHOLE, replay, packets, _summary, totals, state),
        Task(BARE, [*own, "bare-meter", capture], packets, _json, totals),
        Task(INTERPRETED, [*own, "meter", piece], part["packets"], _json, part, pure),
    ]


def _tools(capture: Path, totals: Counts) -> list[Task | Row]:
    folder = capture.parent
    softflowd: Command = ["softflowd", "-d", "-m", "65536", "-p", folder / "pid", "-c", folder / "control", "-r", capture]
    argus: Command = ["argus", "-X", "-r", capture, "-w", "/dev/null"]
    return [
        Task("softflowd -r", softflowd, totals["packets"], _softflowd, totals)
        if shutil.which("softflowd")
        else Row("softflowd -r", missing="not installed: apt-get install softflowd"),
        Task("argus -r", argus, totals["packets"])
        if shutil.which("argus")
        else Row("argus -r", missing="not installed: apt-get install argus-server"),
    ]


def _python_peers(capture: Path, totals: Counts, pieces: dict[int, tuple[Path, Counts]]) -> list[Task | Row]:
    names = ("nfstream, statistics, 20 dissections", "scapy RawPcapReader and a dictionary", "scapy, full dissection")
    python, reason = peers_python()
    if python is None:
        return [Row(name, missing=reason) for name in names]
    piece, part = pieces[min(pieces)]
    script: Command = [python, ROOT / "bench" / "peers.py"]
    return [
        Task(names[0], [*script, "nfstream", capture], totals["packets"], _json, totals),
        Task(names[1], [*script, "scapy-raw", capture], totals["packets"], _json, totals),
        Task(names[2], [*script, "scapy-full", piece], part["packets"], _json, part),
    ]


def peers_python() -> tuple[Path | None, str]:
    """The interpreter of the peers' virtual environment, which is made at first use; or None and why not."""
    python = PEERS / "bin" / "python"
    done = PEERS / "installed"
    if done.exists() and done.read_text(encoding="utf-8") == " ".join(PACKAGES):
        return python, ""
    say(f"installing {', '.join(PACKAGES)} in {PEERS.name}, once\n")
    steps: list[Command] = [
        [sys.executable, "-m", "venv", PEERS],
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES],
    ]
    for step in steps:
        try:
            subprocess.run(step, check=True, capture_output=True, text=True, timeout=240)
        except (OSError, subprocess.SubprocessError) as error:
            text = getattr(error, "stderr", None) or str(error)
            return None, f"not installed: {str(text).strip().splitlines()[-1]}"
    (PEERS / ".gitignore").write_text("*\n", encoding="utf-8")
    done.write_text(" ".join(PACKAGES), encoding="utf-8")
    return python, ""
