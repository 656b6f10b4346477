"""How to reach a Kafka cluster: what agent and detector have in common."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

MAX_SERVERS = 64

_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_SERVER = re.compile(r"([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]):[0-9]{1,5}")


@dataclass(frozen=True)
class Tls:
    """Encryption, and who we are by certificate. The files are read again at each new connection."""

    ca: Path | None = None
    """PEM certificates of the authorities that may sign a broker's. Setting it turns TLS on."""
    certificate: Path | None = None
    """PEM certificate of this client, with its chain."""
    key: Path | None = None
    """PEM private key of that certificate, readable by this service alone."""

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("tls.certificate and tls.key go together")
        if self.certificate is not None and self.ca is None:
            raise ValueError("tls.certificate needs tls.ca, which says whose brokers to believe")


@dataclass(frozen=True)
class Sasl:
    """Who we are by name and password."""

    user: str = ""
    """Setting it turns SASL on."""
    password: Path | None = None
    """A file with the password alone; it is read again at each new connection."""
    mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256"] = "SCRAM-SHA-512"
    """As the brokers offer it."""

    def __post_init__(self) -> None:
        if bool(self.user) != (self.password is not None):
            raise ValueError("sasl.user and sasl.password go together")


@dataclass(frozen=True)
class Connection:
    """A Kafka cluster."""

    servers: tuple[str, ...] = ()
    """`host:port` of some of its brokers. None: no Kafka, the embedded bus alone."""
    client: Literal["kafka-python", "confluent"] = "kafka-python"
    """The client library. `confluent` is several times faster and must be installed: the extra `confluent`."""
    tls: Tls = field(default_factory=Tls)
    sasl: Sasl = field(default_factory=Sasl)

    def __post_init__(self) -> None:
        for server in self.servers:
            if not _SERVER.fullmatch(server) or not 0 < int(server.rpartition(":")[2]) < 65_536:
                raise ValueError(f"kafka.servers: {server!r} is not host:port, such as kafka-1.hospital.example:9092")
        if len(self.servers) > MAX_SERVERS:
            raise ValueError(f"kafka.servers: {len(self.servers)} are too many, name at most {MAX_SERVERS} of the brokers")

    @property
    def protocol(self) -> str:
        """Kafka's name of the security protocol."""
        return ("SASL_" if self.sasl.user else "") + ("SSL" if self.tls.ca else "PLAINTEXT")


@dataclass(frozen=True)
class Topics(Connection):
    """A Kafka cluster, and what of it a detector uses."""

    topic: str = "nigrani.events"
    """Where agents' events come from."""
    alerts: str = "nigrani.alerts"
    """Where alerts go: compacted, one message an alert's id."""
    state: str = "nigrani.state"
    """Where detectors keep what they know of each partition of `topic`: compacted, with as many partitions."""
    group: str = "nigrani-detector"
    """Detectors of one group share the partitions of `topic`."""
    instance: str = ""
    """A name of this detector alone, such as its host's: a restart within `session_timeout` then moves no partition."""
    session_timeout: float = 10.0
    """Seconds without a sign of life after which a detector's partitions go to others of its group."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("topic", "alerts", "state"):
            check_topic(f"kafka.{name}", getattr(self, name))
        if len({self.topic, self.alerts, self.state}) < 3:
            raise ValueError("kafka.topic, kafka.alerts and kafka.state must be three topics")
        if self.client != "kafka-python":
            raise ValueError("kafka.client: a detector reads by kafka-python; confluent is for agents")
        if not self.group:
            raise ValueError("kafka.group must not be empty")
        if self.instance and not _TOPIC.fullmatch(self.instance):
            raise ValueError(f"kafka.instance {self.instance!r} is no name: 1 to 249 of a-z A-Z 0-9 . _ -")
        if not self.session_timeout >= 6:
            raise ValueError("kafka.session_timeout must be at least 6 seconds, which brokers ask for")


def check_topic(setting: str, name: str) -> None:
    """Raises ValueError for what Kafka does not take as a topic's name."""
    if not _TOPIC.fullmatch(name) or name in (".", ".."):
        raise ValueError(f"{setting} {name!r} is no topic's name: 1 to 249 of a-z A-Z 0-9 . _ -")


def options(connection: Connection, name: str) -> dict[str, Any]:
    """What every client of kafka-python is made with; `name` is its client id.

    Raises OSError where the password's file cannot be read.
    """
    found: dict[str, Any] = {
        "bootstrap_servers": list(connection.servers),
        "client_id": name,
        "security_protocol": connection.protocol,
    }
    if connection.tls.ca:
        found["ssl_cafile"] = str(connection.tls.ca)
    if connection.tls.certificate:
        found["ssl_certfile"] = str(connection.tls.certificate)
        found["ssl_keyfile"] = str(connection.tls.key)
    if connection.sasl.password:
        found["sasl_mechanism"] = connection.sasl.mechanism
        found["sasl_plain_username"] = connection.sasl.user
        found["sasl_plain_password"] = connection.sasl.password.read_text(encoding="utf-8").strip()
    return found
