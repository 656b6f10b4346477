"""Measure live capture beside other tools, all in one run; with --soak, whether the agent's memory stays flat.

Packets go over a wire between two network namespaces, from a sender on one core to a receiver on another. CPU is user and
system time of the receiver's whole process tree while packets come, in per cent of one core; the kernel's receive path runs
on the sender's core and is charged to nobody. Memory is the proportional set size at its highest, ring included. Needs root.
Exit code 1 where nigrani lost or invented a packet at the steady rate, 3 where live capture cannot be measured.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.live import soak
from bench.live.receivers import OURS, Receiver, ours, receivers, start
from bench.live.wire import Tree, Wire
from bench.measure import machine, run, say

RATE = 50_000
SETTLE = 3.0
"""Seconds that a receiver gets to start."""
AFTER = 1.0
"""Seconds after the last packet that still count as its work."""
MOST_CPU, MOST_MEMORY = 3.0, 32.0
BIG_RING = "capture.ring_bytes=16777216"


@dataclass
class Row:
    """One receiver at one rate."""

    name: str
    rate: int
    """0: as fast as the sender goes."""
    sent: int = 0
    seconds: float = 0.0
    cpu: float = 0.0
    """Seconds."""
    megabytes: float = 0.0
    packets: int | None = None
    dropped: int | None = None
    missing: str = ""

    @property
    def core(self) -> float:
        """Per cent of a core while packets came."""
        return 100 * self.cpu / self.seconds if self.seconds else 0.0

    @property
    def lost(self) -> int | None:
        """Packets sent and not seen."""
        return None if self.packets is None else self.sent - self.packets


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
    with TemporaryDirectory(prefix="nigrani-bench-") as name:
        folder = Path(name)
        capture = folder / "hospital.pcap"
        size = (
            ["--packets", "100000", "--flows", "2000"]
            if options.quick or options.soak
            else ["--packets", "500000", "--flows", "10000"]
        )
        run([sys.executable, "-m", "bench.traffic", capture, *size])
        with Wire(folder) as wire:
            if options.soak:
                return soak.soak(wire, capture, folder, options.soak, options.csv, options.svg)
            rows = _measure(wire, capture, folder, 5.0 if options.quick else 15.0)
    print(_as_json(rows) if options.json else _as_text(rows))
    steady = next(row for row in rows if row.name == OURS)
    return 1 if steady.missing or steady.lost else 0


def _measure(wire: Wire, capture: Path, folder: Path, seconds: float) -> list[Row]:
    """Every receiver at the steady rate, then ours and the lightest peers flat out."""
    found = receivers()
    rows = [one(wire, receiver, capture, folder, RATE, seconds) for receiver in found]
    flat = [
        ours(BIG_RING) if _knows_ring() else ours(),
        *(tool for tool in found if tool.name.startswith(("softflowd", "suricata"))),
    ]
    rows += [one(wire, receiver, capture, folder, 0, min(seconds, 10.0)) for receiver in flat]
    say("\n")
    return rows


def _knows_ring() -> bool:
    from agent.config import AgentConfig  # noqa: PLC0415 - only the benchmark's own run needs it

    return hasattr(AgentConfig(), "capture")


def one(wire: Wire, receiver: Receiver, capture: Path, folder: Path, rate: int, seconds: float) -> Row:
    """Measure one receiver."""
    row = Row(receiver.name, rate, missing=receiver.missing)
    if row.missing:
        return row
    say(".")
    own = folder / f"{receiver.name.split()[0]}-{rate}"
    own.mkdir()
    running = start(wire.receiving(receiver.command(own)), own, {"NIGRANI_STATE": str(own)})
    time.sleep(SETTLE)
    if running.process.poll() is not None:
        row.missing = (running.said().strip() or "no message").splitlines()[-1]
        return row
    tree = Tree(running.process.pid)
    before = tree.cpu()
    sender = wire.sender(capture, rate, seconds)
    while sender.poll() is None:
        time.sleep(1.0)
        row.megabytes = max(row.megabytes, tree.memory()[0] / 1024)
    row.sent, row.seconds = wire.sent(sender)
    time.sleep(AFTER)
    row.cpu = tree.cpu() - before
    row.packets, row.dropped = receiver.ask(running)
    return row


def _as_json(rows: list[Row]) -> str:
    told = [asdict(row) | {"core": round(row.core, 2), "lost": row.lost} for row in rows]
    return json.dumps({"machine": machine(), "rows": told}, indent=2)


def _as_text(rows: list[Row]) -> str:
    facts = machine()
    lines = [
        f"{facts['cpu']}, {facts['cores']} cores; Linux {facts['kernel']}; Python {facts['python']}; load {facts['load']}",
        "",
    ]
    lines.append(f"{'':34} {'sent/s':>9} {'% of a core':>11} {'ns/packet':>10} {'PSS MB':>7} {'lost':>9} {'dropped':>9}")
    for row in rows:
        name = row.name + ("" if row.rate else ", flat out")
        if row.missing:
            lines.append(f"{name:34} {row.missing}")
            continue
        lost, dropped = ("–" if count is None else f"{count:,}" for count in (row.lost, row.dropped))
        pace, cost = row.sent / row.seconds, 1e9 * row.cpu / row.sent
        lines.append(f"{name:34} {pace:9,.0f} {row.core:11.1f} {cost:10,.0f} {row.megabytes:7.1f} {lost:>9} {dropped:>9}")
    ours_ = rows[0]
    if not ours_.missing:
        for what, value, most, unit in (
            ("CPU at 50,000 packets/s", ours_.core, MOST_CPU, "% of a core"),
            ("memory", ours_.megabytes, MOST_MEMORY, "MB"),
        ):
            lines.append(f"target: {what} at most {most:g} {unit}: {value:.1f}, {'met' if value <= most else 'missed'}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
