"""Measure speed and memory of nigrani and of its peers, all in one run on this machine.

Every figure is of a whole process tree, start-up included: CPU seconds, user and system, on one core; the median of
repetitions that take turns. Exit code 1 where something was counted wrongly; a missed target is said, not an error.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from bench import detection, network, report
from bench.live import table
from bench.measure import ROOT, Counts, Row, machine, pin, run, say

BUDGET = 300.0
"""Seconds after which no further repetition begins."""
TRANSPORT, LIVE, CASES = 900.0, 600.0, 300.0
"""Seconds after which the transport, live capture, and the case store, are given up."""
IMPOSSIBLE = 3
"""Exit code of `bench.transport.figures` where no Kafka can be run, and of `bench.live` without root."""


class Sizes(NamedTuple):
    """How much is measured."""

    packets: int
    flows: int
    interpreted: int
    """Packets of the piece for the interpreted meter."""
    dissected: int
    judged: int
    """Flows that become the detector's events."""
    lesson: int


FULL = Sizes(1_000_000, 20_000, 200_000, 20_000, 70_000, 20_000)
QUICK = Sizes(200_000, 4_000, 50_000, 5_000, 12_000, 6_000)


def main(words: list[str] | None = None) -> int:
    """Measure, and print tables or JSON."""
    parser = argparse.ArgumentParser(
        prog="make bench ARGS=…", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--capture", metavar="FILE", type=Path, help="measure on this pcap file instead of our own")
    parser.add_argument("--quick", action="store_true", help="a fifth of the traffic, once")
    parser.add_argument("--repeat", metavar="N", type=int, help="repetitions (default 3; 1 with --quick)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(words)
    repeat = max(1, options.repeat or (1 if options.quick else 3))
    sizes = QUICK if options.quick else FULL
    facts = machine() | {"core": pin()}
    with TemporaryDirectory(prefix="nigrani-bench-") as folder:
        try:
            result = _measure(Path(folder), options.capture, sizes, repeat)
            result["live"] = _apart("bench.live", LIVE, quick=options.quick)
            result["transport"] = _apart("bench.transport.figures", TRANSPORT, quick=options.quick)
            result["cases"] = _apart("bench.cases", CASES, quick=options.quick)
        except (detection.Failed, OSError, ValueError) as error:
            sys.stderr.write(f"bench: {error}\n")
            return 2
    result = {"machine": facts | {"load_after": machine()["load"]}, "repeat": repeat, **result}
    targets = _targets(result["network"], result["detection"], result["live"], result["transport"])
    targets += report.rules_targets(result["rules"]) + report.cases_targets(result["cases"])
    print(_as_json(result, targets) if options.json else _as_text(result, targets))
    exact = all(row.exact is not False for row in (*result["network"], *result["detection"]) if "nigrani" in row.name)
    exact = exact and all(one["exact"] for one in result["rules"]["sets"])
    exact = exact and result["cases"].get("exact") is True
    return 0 if exact and not result["live"].get("failed") and report.transport_exact(result["transport"]) else 1


def _measure(folder: Path, given: Path | None, sizes: Sizes, repeat: int) -> dict[str, Any]:
    """Everything, with the time it may take."""
    network.peers_python()
    until = time.monotonic() + BUDGET
    say("packets ")
    capture, totals = _capture(folder, given, sizes)
    parts = {}
    for size in (sizes.interpreted, sizes.dissected):
        out = folder / f"piece{size}.pcap"
        parts[size] = out, _child("bench.pieces", capture, out, str(size), "given" if given else "ours")
    packets = network.compare(_beside(folder, capture), totals, parts, repeat, until)
    if given is None:
        capture.unlink()  # room for the next
    say("events ")
    lesson = detection.prepare(folder, sizes.judged, sizes.lesson)
    events = detection.compare(lesson, repeat, until)
    return {
        "capture": totals,
        "network": packets,
        "lesson": {"events": lesson.trained_on, "train_cpu_s": round(lesson.train_seconds, 2)},
        "detection": events,
        **detection.side_figures(lesson),
        "rules": _rules(lesson.events),
    }


def _rules(events: Path) -> Counts:
    """The figures of the rules, of a process of their own, as `_child` is."""
    say("rules ")
    python, _ = network.peers_python()
    return _child("bench.rules", events, *([python] if python else []))


def _apart(module: str, seconds: float, *, quick: bool) -> dict[str, Any]:
    """The figures of another part, or why there are none; of a process of its own, as `_child` is."""
    say(f"{module}\n")
    command = [sys.executable, "-m", module, "--json", *(["--quick"] if quick else [])]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)  # so that it ends what it started
            return {"missing": f"it took longer than {seconds:.0f} s", "failed": True}
    if out:
        figures: dict[str, Any] = json.loads(out)
        return figures
    reason = (err.strip() or "no message").splitlines()[-1]
    return {"missing": reason, "failed": process.returncode != IMPOSSIBLE}


def _capture(folder: Path, given: Path | None, sizes: Sizes) -> tuple[Path, Counts]:
    """The capture, and what is known of it."""
    if given is not None:
        return given, _child("bench.pieces", given.resolve())
    out = folder / "hospital.pcap"
    return out, _child("bench.traffic", out, "--packets", str(sizes.packets), "--flows", str(sizes.flows))


def _child(module: str, *words: str | Path) -> Counts:
    """What another process counts; this one stays small: the kernel tells no peak below that of the launching process."""
    done = run([sys.executable, "-m", module, *words])
    if done.status:
        raise detection.Failed(f"{module}: {(done.err.strip() or 'no message').splitlines()[-1]}")
    totals: Counts = json.loads(done.out)
    return totals


def _beside(folder: Path, capture: Path) -> Path:
    """The capture under a name in the temporary folder, where what the tools leave behind goes too."""
    if capture.parent == folder:
        return capture
    link = folder / "given.pcap"
    link.symlink_to(capture.resolve())
    return link


def _targets(packets: list[Row], events: list[Row], live: dict[str, Any], transport: dict[str, Any]) -> list[report.Target]:
    """What nigrani holds itself to."""
    rows = {row.name: row for row in (*packets, *events)}
    peak = max(rows[network.METER].megabytes, rows[network.WHOLE].megabytes)
    return [
        report.Target("meter with all protocol facts", 2_500_000, rows[network.METER].rate, "packets/CPU-s"),
        report.Target("interpreted meter", 100_000, rows[network.INTERPRETED].rate, "packets/CPU-s"),
        report.Target("agent's peak memory", 48, peak, "MB", at_most=True),
        report.Target("detector, rules and baseline", 50_000, rows[detection.WHOLE].rate, "events/CPU-s"),
        *table.targets(_live_rows(live)),
        *report.transport_targets(transport),
    ]


def _live_rows(live: dict[str, Any]) -> list[table.Row]:
    return [table.Row.read(row) for row in live.get("rows", ())]


def _as_json(result: dict[str, Any], targets: list[report.Target]) -> str:
    rows = {
        part: [asdict(row) | {"rate": round(row.rate), "cpu_s": round(row.seconds, 4)} for row in result[part]]
        for part in ("network", "detection")
    }
    held = [target._asdict() | {"met": target.met} for target in targets]
    return json.dumps({**result, **rows, "targets": held}, indent=2)


def _as_text(result: dict[str, Any], targets: list[report.Target]) -> str:
    facts, totals, lesson = result["machine"], result["capture"], result["lesson"]
    size = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in totals.items())
    meter = result["network"][0]
    form = "compiled" if meter.counts.get("compiled") else "interpreted: no C compiler was found when nigrani was installed"
    where = (
        f"{facts['cpu']}, {facts['cores']} cores, core {facts['core']} used; {facts['memory_gb']} GB; "
        f"Linux {facts['kernel']}; Python {facts['python']}; load {facts['load']} before, {facts['load_after']} after; "
        f"median (least–most) of {len(meter.cpu)}"
    )
    return "\n".join([
        where,
        "",
        f"Packets to flow records: {size}. The meter is {form}.",
        report.network(result["network"]),
        "",
        f"Events to alerts: baseline learnt from {lesson['events']:,} events in {lesson['train_cpu_s']} CPU s",
        report.detection(result["detection"]),
        "",
        report.rules(result["rules"]),
        "",
        "Models on flow records",
        report.models(result["models"]),
        "",
        report.spool(result["spool"]),
        "",
        "Live capture, on a wire between two namespaces",
        result["live"].get("missing") or table.text(_live_rows(result["live"])),
        "",
        report.transport(result["transport"]),
        "",
        report.cases(result["cases"]),
        "",
        *[target.line() for target in targets],
    ])  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
