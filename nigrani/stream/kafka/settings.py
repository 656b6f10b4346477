"""How to reach a Kafka cluster: what agent and detector have in common."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal


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

    @property
    def protocol(self) -> str:
        """Kafka's name of the security protocol."""
        return ("SASL_" if self.sasl.user else "") + ("SSL" if self.tls.ca else "PLAINTEXT")


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
