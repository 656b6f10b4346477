"""The agent's configuration, each default beside what it is for."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from agent.captures.settings import CaptureSettings
from agent.sources.settings import Logs
from nigrani.stream.kafka.settings import Connection, check_topic


@dataclass(frozen=True)
class Meter:
    """The flow table."""

    capacity: int = 65_536
    """Flows held at once; beyond it the longest silent go, counted. 512 bytes each, once used."""
    conversations: int = 16_384
    """Conversations parsed at once; others are metered without protocol facts, counted."""


@dataclass(frozen=True)
class Privacy:
    """What leaves the host, and in what form."""

    key: Path | None = None
    """The site's key; every host of one site has the same. Default: `site.key` in the state folder, made at first run."""
    zones: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Zone → networks. Private address space is `internal` where nothing else is said, the rest `internet`."""
    ae_titles: tuple[str, ...] = ()
    """AE titles that leave as they are; all others as tokens."""
    domains: Literal["token", "suffix", "full"] = "suffix"
    """How much of a DNS name leaves: `token`, `suffix` (the last two labels) or `full`."""


@dataclass(frozen=True)
class Bus:
    """The embedded bus and store-and-forward buffer."""

    path: Path | None = None
    """Its folder. Default: `bus` in the state folder."""
    max_bytes: int = 1 << 30
    """Beyond it the oldest segment goes, counted."""
    fsync: Literal["always", "interval", "never"] = "interval"
    """`always`, `interval` (100 ms or 1 MiB) or `never`."""


@dataclass(frozen=True)
class Kafka(Connection):
    """The cluster that events go to. Without `servers` they stay on the embedded bus."""

    topic: str = "nigrani.events"
    """Where events go; its partitions share the work among detectors."""
    wire: Literal["event", "batch"] = "event"
    """`event`: one a message, for whatever reads Kafka. `batch`: up to 500 lines a message, several times cheaper."""
    compression: Literal["zstd", "lz4", "none"] = "zstd"
    """Of what goes over the network and lies on the brokers' disks. `lz4` needs the package of that name."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_topic("kafka.topic", self.topic)


@dataclass(frozen=True)
class Metrics:
    """The Prometheus endpoint."""

    listen: str = "127.0.0.1:9465"
    """`address:port`. Other than loopback only on purpose: it has no TLS yet."""


@dataclass(frozen=True)
class AgentConfig:
    """agent.yaml."""

    name: str = ""
    """The agent's name in its events. Default: a token of the host's name."""
    interfaces: tuple[str, ...] = ()
    """Network interfaces to watch."""
    host: str = ""
    """The address of the agent's own host, whose story it then tells; empty on a mirror port."""
    capture: CaptureSettings = field(default_factory=CaptureSettings)
    logs: Logs = field(default_factory=Logs)
    """Log files, units of the journal, syslog listeners and watched folders, each under a name of its own."""
    meter: Meter = field(default_factory=Meter)
    privacy: Privacy = field(default_factory=Privacy)
    bus: Bus = field(default_factory=Bus)
    kafka: Kafka = field(default_factory=Kafka)
    metrics: Metrics = field(default_factory=Metrics)
