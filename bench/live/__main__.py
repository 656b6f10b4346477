"""Measure live capture beside other tools, all in one run; with --soak, whether the agent's memory stays flat.

Packets go over a wire between two network namespaces, from a sender on one core to a receiver on another. CPU is user and
system time of the receiver's whole process tree while packets come, in per cent of one core; the kernel's receive path runs
on the sender's core and is charged to nobody. Memory is the proportional set size at its highest, ring included. Needs root.
Exit code 1 where nigrani lost or invented a packet at 50,000 a second, 3 where live capture cannot be measured.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.live import soak, table
from bench.live.receivers import Receiver, ours, receivers, start
from bench.live.table import BUSY, FAST, LONG, OURS, RATE, Row
from bench.live.wire import Tree, Wire
from bench.measure import machine, run, say

SETTLE = 3.0
"""Seconds that a receiver gets to start."""
AFTER = 1.0
"""Seconds after the last packet that still count as its work."""
FASTEST_SECONDS = 10.0
BIG_RING = "capture.ring_bytes=16777216"
TRAFFIC = {
    BUSY: ("--packets", "500000", "--flows", "10000"),
    LONG: ("--packets", "500000", "--flows", "2000", "--seconds", "2400"),
}
SMALL = ("--packets", "100000", "--flows", "2000")
LIGHT = ("nigrani", "softflowd", "nfstream")
"""Those that are also measured with few, long flows."""
LIGHTEST = ("softflowd", "suricata")


def main(words: list[str] | None = None) -> int:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.live", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="five seconds each in the place of fifteen")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--soak", metavar="MINUTES", type=float, help="watch the agent's memory for so long, and nothing else"
    )
    parser.add_argument("--csv", metavar="FILE", type=Path, default=Path("soak.csv"), help="the soak's samples")
    parser.add_argument("--svg", metavar="FILE", type=Path, default=Path("docs/memory.svg"), help="their plot")
    options = parser.parse_args(words)
    if reason := Wire.missing():
        sys.stderr.write(f"bench.live: {reason}\n")
        return 3
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    with TemporaryDirectory(prefix="nigrani-bench-") as name:
        folder = Path(name)
        with Wire(folder) as wire:
            if options.soak:
                capture = _capture(folder, "soak", SMALL)
                return soak.soak(wire, capture, folder, options.soak, options.csv, options.svg)
            captures = {traffic: _capture(folder, traffic.split()[0], size) for traffic, size in TRAFFIC.items()}
            rows = _measure(wire, captures, folder, 5.0 if options.quick else 15.0)
    print(_as_json(rows) if options.json else _as_text(rows))
    steady = next(row for row in rows if row.name == OURS)
    return 1 if steady.missing or steady.lost else 0


def _capture(folder: Path, name: str, size: tuple[str, ...]) -> Path:
    capture = folder / f"{name}.pcap"
    run([sys.executable, "-m", "bench.traffic", capture, *size])
    return capture


def _measure(wire: Wire, captures: dict[str, Path], folder: Path, seconds: float) -> list[Row]:
    """Every receiver at the steady rate, some with long flows too, then ours and the lightest peers at high rates."""
    found = receivers()
    light = [tool for tool in found if tool.name.startswith(LIGHT)]
    fast = [ours(BIG_RING), *(tool for tool in found if tool.name.startswith(LIGHTEST))]
    most = min(seconds, FASTEST_SECONDS)
    plan = [
        *((tool, RATE, BUSY, seconds) for tool in found),
        *((tool, RATE, LONG, seconds) for tool in light),
        *((tool, FAST, BUSY, most) for tool in fast),
        *((tool, 0, BUSY, most) for tool in fast),
    ]
    rows = []
    for number, (tool, rate, traffic, long) in enumerate(plan):
        own = folder / str(number)
        own.mkdir()
        rows.append(one(wire, tool, captures[traffic], own, Row(tool.name, rate, traffic), long))
    say("\n")
    return rows


def one(wire: Wire, receiver: Receiver, capture: Path, folder: Path, row: Row, seconds: float) -> Row:
    """Fill in the row of one receiver, which has the folder to itself."""
    row.missing = receiver.missing
    if row.missing:
        return row
    say(".")
    running = start(wire.receiving(receiver.command(folder)), folder, {"NIGRANI_STATE": str(folder)})
    time.sleep(SETTLE)
    if running.process.poll() is not None:
        row.missing = (running.said().strip() or "no message").splitlines()[-1]
        return row
    tree = Tree(running.process.pid)
    before = tree.cpu()
    sender = wire.sender(capture, row.rate, seconds)
    while sender.poll() is None:
        time.sleep(1.0)
        row.megabytes = max(row.megabytes, tree.memory()[0] / 1024)
    row.sent, row.seconds = wire.sent(sender)
    time.sleep(AFTER)
    row.cpu = tree.cpu() - before
    row.packets, row.dropped = receiver.ask(running)
    return row


def _as_json(rows: list[Row]) -> str:
    return json.dumps({"machine": machine(), "rows": [row.told() for row in rows]}, indent=2)


def _as_text(rows: list[Row]) -> str:
    facts = machine()
    where = (
        f"{facts['cpu']}, {facts['cores']} cores; Linux {facts['kernel']}; Python {facts['python']}; load {facts['load']}"
    )
    return "\n".join([where, "", table.text(rows), "", *(target.line() for target in table.targets(rows))])


if __name__ == "__main__":
    sys.exit(main())
