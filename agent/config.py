"""The agent's configuration, each default beside what it is for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Literal

from agent.captures.settings import CaptureSettings
from agent.policy import Policy
from agent.sources.settings import Logs
from nigrani.service.metrics import MetricsSettings
from nigrani.stream.kafka.settings import Connection, check_topic
from nigrani.stream.spool import SEGMENT_BYTES

LEAST_MAP, MOST_MAP = 1 << 20, 1 << 36
LEAST_FLOWS, MOST_FLOWS = 16, 1 << 24

_SERVER = re.compile(r"([0-9A-Za-z._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::([0-9]{1,5}))?")

_PUBLIC_KEY = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Meter:
    """The flow table."""

    capacity: int = 65_536
    """Flows held at once; beyond it the longest silent go, counted. 512 bytes each, once used."""
    conversations: int = 16_384
    """Conversations parsed at once; others are metered without protocol facts, counted."""

    def __post_init__(self) -> None:
        faults = []
        if not LEAST_FLOWS <= self.capacity <= MOST_FLOWS:
            faults.append(f"capacity: {self.capacity:,} is not within {LEAST_FLOWS} and {MOST_FLOWS:,}")
        if not 0 <= self.conversations <= MOST_FLOWS:
            faults.append(f"conversations: {self.conversations:,} is not within 0 and {MOST_FLOWS:,}")
        if faults:
            raise ValueError(*faults)


@dataclass(frozen=True)
class TokenMap:
    """The sealed map from tokens back to what they stand for; `nigrani agent reveal` opens it."""

    key: str = ""
    """The public key to seal with, as `nigrani agent reveal --make-key` prints it. Without one no map is kept."""
    max_bytes: int = 64 << 20
    """Beyond it the oldest sixteenth goes; a sixteenth a day is written at most."""

    def __post_init__(self) -> None:
        faults = []
        if self.key and not _PUBLIC_KEY.fullmatch(self.key):
            faults.append("key: a public key is 64 hexadecimal digits, as nigrani agent reveal --make-key FILE prints it")
        if not LEAST_MAP <= self.max_bytes <= MOST_MAP:
            faults.append(f"max_bytes: {self.max_bytes:,} is not within {LEAST_MAP:,} and {MOST_MAP:,}")
        if faults:
            raise ValueError(*faults)


@dataclass(frozen=True)
class Privacy(Policy):
    """What leaves the host, and in what form."""

    key: Path | None = None
    """The site's key; every host of one site has the same. Default: the credential `site.key` where the service was given
    one, else `site.key` in the state folder, made at first run."""
    zones: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Zone → networks. Private address space is `internal` where nothing else is said, the rest `internet`."""
    map: TokenMap = field(default_factory=TokenMap)

    def faults(self) -> Iterator[str]:
        """See `Policy`; and of the zones."""
        yield from super().faults()
        yield from _zone_faults(self.zones)


@dataclass(frozen=True)
class Bus:
    """The embedded bus and store-and-forward buffer."""

    path: Path | None = None
    """Its folder. Default: `bus` in the state folder."""
    max_bytes: int = 1 << 30
    """Beyond it the oldest segment goes, counted."""
    fsync: Literal["always", "interval", "never"] = "interval"
    """`always`, `interval` (100 ms or 1 MiB) or `never`."""

    def __post_init__(self) -> None:
        if self.max_bytes < 2 * SEGMENT_BYTES:
            raise ValueError(f"max_bytes: {self.max_bytes:,} is less than two segments, {2 * SEGMENT_BYTES:,}")


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
class Metrics(MetricsSettings):
    """The Prometheus endpoint."""

    listen: str = "127.0.0.1:9465"
    """`address:port`. Elsewhere than on loopback with `tls`, its `ca` included."""


@dataclass(frozen=True)
class Clock:
    """How right the host's clock is."""

    ntp: str = ""
    """A time server to compare it with: a name or an address, with `:port` where that is not 123. Empty: nobody is asked."""
    minutes: float = 16.0
    """How often to ask."""

    def __post_init__(self) -> None:
        faults = []
        if self.ntp and (_SERVER.fullmatch(self.ntp) is None or not 0 < self.server[1] < 65_536):
            faults.append(f"ntp: {self.ntp!r} is no server, such as ntp.hospital.example, 10.1.1.1:123 or [2001:db8::1]")
        if not 2 <= self.minutes <= 1440:
            faults.append(f"minutes: {self.minutes:g} is not within 2 and 1440")
        if faults:
            raise ValueError(*faults)

    @property
    def server(self) -> tuple[str, int]:
        """Host and port."""
        match = _SERVER.fullmatch(self.ntp)
        return (match[1].strip("[]"), int(match[2] or 123)) if match else ("", 0)


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
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        faults = []
        if self.host and not _is_address(self.host):
            faults.append(f"host: {self.host!r} is no address, such as 10.20.1.10")
        if "any" in self.interfaces and self.capture.promiscuous:
            faults.append("interfaces: any is never promiscuous; name interfaces, or leave capture.promiscuous out")
        if faults:
            raise ValueError(*faults)


def _zone_faults(zones: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    known: dict[IPv4Network | IPv6Network, str] = {}
    for name, networks in zones.items():
        for text in networks:
            try:
                network = ip_network(text)
            except ValueError as error:
                yield f"zones.{name}: {error}"
                continue
            other = known.setdefault(network, name)
            if other != name:
                yield f"zones.{name}: {text} is in zone {other} already"


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
