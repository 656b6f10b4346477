"""The agent under a light load for long: its memory every ten seconds, as CSV and as a plot."""

from __future__ import annotations

import time
from pathlib import Path

from bench.live.receivers import ours, start
from bench.live.wire import Tree, Wire
from bench.measure import say

RATE = 5_000
EVERY = 10.0
SETTLE = 3.0
SETTLED = 600.0
"""Seconds after which it has seen every address and holds flows that are silent for minutes: from then on it is flat."""
SMALL_BUS = "bus.max_bytes=67108864"
WIDTH, HEIGHT, MARGIN = 640, 240, 48
_FONT, _END = 'font-family="sans-serif" font-size="12"', 'text-anchor="end"'

Sample = tuple[float, float, float]
"""Seconds since the start, PSS and RSS in MB."""


def soak(wire: Wire, capture: Path, folder: Path, minutes: float, csv: Path, svg: Path) -> int:
    """Run it and write both files; 1 where the agent lost a packet or did not stay up."""
    receiver = ours(SMALL_BUS)
    running = start(wire.receiving(receiver.command(folder)), folder, {"NIGRANI_STATE": str(folder)})
    time.sleep(SETTLE)
    tree = Tree(running.process.pid)
    samples: list[Sample] = []
    begin = time.monotonic()
    sender = wire.sender(capture, RATE, minutes * 60)
    with csv.open("w", encoding="utf-8") as file:
        file.write("seconds,pss_mb,rss_mb\n")
        while sender.poll() is None and running.process.poll() is None:
            pss, rss = (size / 1024 for size in tree.memory())
            samples.append((time.monotonic() - begin, pss, rss))
            file.write(f"{samples[-1][0]:.0f},{pss:.2f},{rss:.2f}\n")
            file.flush()
            say(".")
            time.sleep(EVERY)
    cpu = tree.cpu()
    sent = wire.sent(sender)
    time.sleep(1.0)
    seen = receiver.ask(running)
    svg.write_text(plot(samples), encoding="utf-8")
    middle = samples[len(samples) // 2]
    late = [rss for seconds, _, rss in samples if seconds >= SETTLED] or [samples[-1][2]]
    print(
        f"{sent.packets:,} packets in {sent.seconds / 60:.1f} minutes, {100 * cpu / sent.seconds:.2f} % of a core; "
        f"PSS {samples[0][1]:.1f} MB at first, {middle[1]:.1f} half-way, {samples[-1][1]:.1f} at the end; "
        f"RSS {min(late):.1f} to {max(late):.1f} MB after the first {SETTLED / 60:.0f} minutes; "
        f"lost {sent.packets - (seen.packets or 0):,}"
    )
    return 0 if seen.packets == sent.packets else 1


def plot(samples: list[Sample]) -> str:
    """An SVG of both sizes over time, from 0."""
    minutes = samples[-1][0] / 60 or 1.0
    most = max(rss for _, _, rss in samples) * 1.1

    def spot(at: float, megabytes: float) -> str:
        return f"{MARGIN + at / 60 / minutes * WIDTH:.1f},{MARGIN + HEIGHT * (1 - megabytes / most):.1f}"

    def line(column: int, colour: str) -> str:
        points = " ".join(spot(sample[0], sample[column]) for sample in samples)
        return f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{points}"/>'

    def text(x: float, y: float, words: str, more: str) -> str:
        return f'<text x="{x:.0f}" y="{y:.1f}" {more}>{words}</text>'

    left = [text(MARGIN - 6, MARGIN + HEIGHT * (1 - mb / most) + 4, str(mb), _END) for mb in range(0, int(most), 10)]
    below = [
        text(MARGIN + part * WIDTH / 4, MARGIN + HEIGHT + 18, f"{minutes * part / 4:.0f} min", 'text-anchor="middle"')
        for part in range(5)
    ]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH + 2 * MARGIN} {HEIGHT + 2 * MARGIN}" {_FONT}>',
        '<rect width="100%" height="100%" fill="white"/>',
        text(MARGIN, 24, f"Memory of nigrani agent run at {RATE:,} packets/s, MB", 'font-size="14"'),
        f'<path d="M{MARGIN} {MARGIN}V{MARGIN + HEIGHT}H{MARGIN + WIDTH}" fill="none" stroke="black"/>',
        *left,
        *below,
        line(2, "#b0b0b0"),
        line(1, "#1f5fa8"),
        text(MARGIN + WIDTH, 24, "PSS", f'{_END} fill="#1f5fa8"'),
        text(MARGIN + WIDTH - 36, 24, "RSS", f'{_END} fill="#808080"'),
        "</svg>\n",
    ]
    return "\n".join(parts)
