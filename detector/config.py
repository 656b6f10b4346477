"""The detector's configuration, each default beside what it is for."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from detector.device_class import CLASSES
from detector.page.settings import PageSettings
from detector.reports.organisation import Organisation
from nigrani.service.metrics import MetricsSettings
from nigrani.stream.kafka.settings import Topics


@dataclass(frozen=True)
class Bus:
    """Where events come from, unless `kafka.servers` is set."""

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
    """NDJSON of OCSF findings is appended there. Default: `alerts.ndjson` in the state folder; with Kafka, a topic alone."""

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
class Devices:
    """What devices are, where the baseline cannot tell or is wrong: the site's word goes before what was learnt."""

    zones: dict[str, str] = field(default_factory=dict)
    """Zone → class of all devices in it: modality, pacs, workstation, ai-server, … Whoever gets in is taken for one."""
    tokens: dict[str, str] = field(default_factory=dict)
    """Device, by its token as alerts have it, → class; goes before its zone's."""

    def __post_init__(self) -> None:
        named = [("zones", self.zones), ("tokens", self.tokens)]
        wrong = [
            f"devices.{where}.{key}: there is no class `{name}` of devices; use one of: {', '.join(CLASSES)}"
            for where, names in named
            for key, name in names.items()
            if name not in CLASSES
        ]
        if wrong:
            raise ValueError(*wrong)


@dataclass(frozen=True)
class Checkpoints:
    """What a restart begins with: open minutes, counts, and how far was read."""

    path: Path | None = None
    """Their folder, on the embedded bus. Default: `checkpoints` in the state folder. With Kafka they are in a topic."""
    seconds: float = 10.0
    """How often they are kept, and so how much at most is read again after a crash."""

    def __post_init__(self) -> None:
        if not self.seconds >= 0:
            raise ValueError("checkpoints.seconds must be at least 0")


@dataclass(frozen=True)
class Cases:
    """The case store: alerts put together, who works on them, and how they ended."""

    enabled: bool | None = None
    """Whether this detector fills it. Default: on the embedded bus yes, with Kafka no; there, on exactly one."""
    path: Path | None = None
    """Its file. Default: `cases.db` in the state folder."""
    retention_days: int = 365
    """Closed cases go, with their findings, when nobody has touched them for so long. Open ones stay."""

    def __post_init__(self) -> None:
        if not 1 <= self.retention_days <= 36_500:
            raise ValueError("cases.retention_days must be 1 to 36500")


@dataclass(frozen=True)
class Metrics(MetricsSettings):
    """The Prometheus endpoint."""

    listen: str = "127.0.0.1:9464"
    """`address:port`. Elsewhere than on loopback with `tls`, its `ca` included."""


@dataclass(frozen=True)
class RuleFiles:
    """When rule files that have changed are loaded."""

    seconds: float = 5.0
    """How often they are looked at; 0: only at SIGHUP."""

    def __post_init__(self) -> None:
        if not self.seconds >= 0:
            raise ValueError("rule_files.seconds must be at least 0")


@dataclass(frozen=True)
class DetectorConfig:
    """detector.yaml."""

    rules: tuple[str, ...] = ()
    """Folders of rules beside the shipped ones."""
    rule_files: RuleFiles = field(default_factory=RuleFiles)
    bus: Bus = field(default_factory=Bus)
    kafka: Topics = field(default_factory=Topics)
    checkpoints: Checkpoints = field(default_factory=Checkpoints)
    baseline: Baseline = field(default_factory=Baseline)
    devices: Devices = field(default_factory=Devices)
    alerts: Alerts = field(default_factory=Alerts)
    cases: Cases = field(default_factory=Cases)
    organisation: Organisation = field(default_factory=Organisation)
    page: PageSettings = field(default_factory=PageSettings)
    metrics: Metrics = field(default_factory=Metrics)

    @property
    def has_cases(self) -> bool:
        """Whether this detector fills the case store."""
        return self.cases.enabled if self.cases.enabled is not None else not self.kafka.servers

    @property
    def learns(self) -> bool:
        """Whether the service makes a baseline by itself: not of a topic, of which it may have a part alone."""
        return self.baseline.learn_minutes > 0 and not self.kafka.servers
