"""The detector's configuration, each default beside what it is for."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Bus:
    """Where events come from."""

    path: Path | None = None
    """The embedded bus's folder. Default: `bus` in the state folder."""
    group: str = "detector"
    """Under which name the place reached is kept."""


@dataclass(frozen=True)
class Alerts:
    """When to alert, and where alerts go."""

    false_alarms_per_week: float = 7.0
    """How many anomalies a week may be benign, all devices together. Rules are apart from it."""
    path: Path | None = None
    """NDJSON of OCSF findings is appended there. Default: `alerts.ndjson` in the state folder."""

    def __post_init__(self) -> None:
        if not self.false_alarms_per_week > 0:
            raise ValueError("alerts.false_alarms_per_week must be above 0")


@dataclass(frozen=True)
class Baseline:
    """What is usual."""

    path: Path | None = None
    """The baseline's file. Default: `baseline.npz` in the state folder."""
    learn_minutes: int = 7 * 24 * 60
    """Without a baseline, so many minutes of events are learnt from first; rules alone alert meanwhile. 0: never."""
    trusted: tuple[str, ...] = ()
    """Public keys whose baselines are taken, beside this host's own."""

    def __post_init__(self) -> None:
        if self.learn_minutes < 0:
            raise ValueError("baseline.learn_minutes must be at least 0")


@dataclass(frozen=True)
class Metrics:
    """The Prometheus endpoint."""

    listen: str = "127.0.0.1:9464"
    """`address:port`. Other than loopback only on purpose: it has no TLS yet."""


@dataclass(frozen=True)
class DetectorConfig:
    """detector.yaml."""

    rules: tuple[str, ...] = ()
    """Folders of rules beside the shipped ones."""
    bus: Bus = field(default_factory=Bus)
    baseline: Baseline = field(default_factory=Baseline)
    alerts: Alerts = field(default_factory=Alerts)
    metrics: Metrics = field(default_factory=Metrics)
