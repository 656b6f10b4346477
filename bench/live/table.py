"""What live capture costs, as rows and as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench import report

OURS = "nigrani agent run"
BUSY, LONG = "50 packets a flow", "255 packets a flow"
RATE, FAST = 50_000, 500_000


@dataclass
class Row:
    """One receiver at one rate."""

    name: str
    rate: int
    """0: as fast as the sender goes."""
    traffic: str = BUSY
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

    def told(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"core": round(self.core, 2), "lost": self.lost}

    @classmethod
    def read(cls, told: dict[str, Any]) -> Row:
        """What `told` gave."""
        return cls(**{name: told[name] for name in cls.__dataclass_fields__})


def text(rows: Sequence[Row]) -> str:
    """A table for each rate and traffic."""
    groups = dict.fromkeys((row.rate, row.traffic) for row in rows)
    return "\n\n".join(_group(rate, traffic, rows) for rate, traffic in groups)


def _group(rate: int, traffic: str, rows: Sequence[Row]) -> str:
    header = ("", "sent/s", "% of a core", "ns/packet", "PSS MB", "lost", "dropped by the kernel")
    lines, missing = [], []
    for row in rows:
        if (row.rate, row.traffic) != (rate, traffic):
            continue
        if row.missing or not row.sent:
            missing.append(f"{row.name}: {row.missing or 'nothing was sent'}")
            continue
        lost, dropped = ("–" if count is None else f"{count:,}" for count in (row.lost, row.dropped))
        figures = f"{row.sent / row.seconds:,.0f}", f"{row.core:.1f}", f"{1e9 * row.cpu / row.sent:,.0f}"
        lines.append((row.name, *figures, f"{row.megabytes:.1f}", lost, dropped))
    pace = f"{rate:,} packets/s" if rate else "As fast as the sender goes"
    return "\n".join([f"{pace}, {traffic}", report.table(header, lines), *missing])


def targets(rows: Sequence[Row]) -> list[report.Target]:
    """What the agent holds itself to, of what was measured."""
    ours = {(row.rate, row.traffic): row for row in rows if row.name == OURS and row.sent}
    found = []
    for traffic in (BUSY, LONG):
        if row := ours.get((RATE, traffic)):
            found.append(report.Target(f"live, 50,000 packets/s, {traffic}", 3.0, row.core, "% of a core", at_most=True))
            found.append(report.Target("the same", 32.0, row.megabytes, "MB", at_most=True))
    for rate, name in ((RATE, "50,000"), (FAST, "500,000")):
        if row := ours.get((rate, BUSY)):
            lost = float(row.sent if row.lost is None else row.lost)
            found.append(report.Target(f"live, {name} packets/s", 0, lost, "packets lost", at_most=True))
    return found
