"""Brokers of Apache Kafka in KRaft mode: one plain, one with TLS, passwords and access control, and three together."""

from __future__ import annotations

import shlex
import signal
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from kafka import KafkaAdminClient
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourceType,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from bench.kafka.certificates import Authority
from bench.kafka.libraries import HERE, Unavailable, java, libraries, version
from bench.kafka.server import HOST, Server, StartError, free_port

__all__ = ["Broker", "Cluster", "SecureBroker", "Server", "StartError", "Unavailable", "libraries", "make_topic", "version"]

CLUSTER_ID = "bmlncmFuaS10ZXN0cy0tLQ"
FLAGS = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true")
SMALL = {
    "num.network.threads": "2",
    "num.io.threads": "2",
    "num.replica.fetchers": "1",
    "background.threads": "2",
    "num.recovery.threads.per.data.dir": "1",
    "log.cleaner.dedupe.buffer.size": "4194304",
    "log.segment.bytes": "67108864",
    "log.retention.hours": "24",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "2",
    "share.coordinator.state.topic.num.partitions": "2",
}
"""One small machine for client and broker."""
PROMPT = {
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "broker.heartbeat.interval.ms": "500",
    "broker.session.timeout.ms": "3000",
}
"""No test waits for what only a large cluster needs."""


def replication(copies: int, needed: int) -> dict[str, str]:
    """How many copies Kafka keeps, also of its own topics, and how many it needs to acknowledge."""
    return {
        "default.replication.factor": str(copies),
        "min.insync.replicas": str(needed),
        "offsets.topic.replication.factor": str(copies),
        "transaction.state.log.replication.factor": str(copies),
        "transaction.state.log.min.isr": str(needed),
        "share.coordinator.state.topic.replication.factor": str(copies),
        "share.coordinator.state.topic.min.isr": str(needed),
    }


class Broker(Server):
    """One plain node: anybody on this host may do anything."""

    node = 1
    heap = 512
    """Megabytes of Java's heap."""

    def __init__(self, folder: Path | None = None, settings: Mapping[str, str] | None = None) -> None:
        """Settings are further lines of server.properties, or other values for its lines."""
        super().__init__(folder)
        self.kind = f"Apache Kafka {version()}"
        self.controller_port = free_port()
        self.settings = dict(settings or {})

    def command(self) -> list[str]:
        """A shell that formats the data folder the first time, and then becomes Kafka."""
        properties = self.folder / "server.properties"
        properties.write_text("".join(f"{key}={value}\n" for key, value in {**self.properties(), **self.settings}.items()))
        program = [java(), f"-Xmx{self.heap}m", *FLAGS, f"-Dlog4j2.configurationFile={HERE / 'log4j2.properties'}"]
        program += ["-cp", f"{libraries()}/*"]
        words = f"exec {shlex.join([*program, 'kafka.Kafka', str(properties)])}"
        if not (self.folder / "data" / "meta.properties").exists():
            prepare = ["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(properties), *self.format_options()]
            words = f"{shlex.join([*program, *prepare])} && {words}"
        return ["/bin/sh", "-c", words]

    def takes_part(self, admin: KafkaAdminClient) -> bool:
        """Whether the controller has let the broker in."""
        brokers = admin.describe_cluster()["brokers"]
        return any(broker["broker_id"] == self.node and not broker["is_fenced"] for broker in brokers)

    def listeners(self) -> dict[str, tuple[int, str]]:
        """Port and security protocol by name; clients and other brokers use the first."""
        return {"PLAIN": (self.port, "PLAINTEXT"), "CONTROLLER": (self.controller_port, "PLAINTEXT")}

    def quorum(self) -> dict[str, str]:
        """Where the controllers are."""
        return {"controller.quorum.bootstrap.servers": f"{HOST}:{self.controller_port}"}

    def format_options(self) -> list[str]:
        """How the first start prepares the data folder."""
        return ["--standalone"]

    def properties(self) -> dict[str, str]:
        """What server.properties says."""
        listeners = self.listeners()
        addresses = ",".join(f"{name}://{HOST}:{port}" for name, (port, _) in listeners.items())
        return {
            "process.roles": "broker,controller",
            "node.id": str(self.node),
            "listeners": addresses,
            "advertised.listeners": addresses,
            "listener.security.protocol.map": ",".join(f"{name}:{protocol}" for name, (_, protocol) in listeners.items()),
            "inter.broker.listener.name": next(iter(listeners)),
            "controller.listener.names": "CONTROLLER",
            "log.dirs": str(self.folder / "data"),
            "auto.create.topics.enable": "false",
            **self.quorum(),
            **replication(copies=1, needed=1),
            **SMALL,
            **PROMPT,
        }


class SecureBroker(Broker):
    """One node that lets in client certificates at servers and SCRAM-SHA-512 passwords at sasl_servers; ACLs hold."""

    clients = ("admin", "agent-01", "detector")

    def __init__(self, folder: Path | None = None, settings: Mapping[str, str] | None = None) -> None:
        super().__init__(folder, settings)
        self.sasl_port = free_port()
        self.sasl_servers = f"{HOST}:{self.sasl_port}"
        self.authority = Authority()
        self.certificates = self.folder / "certificates"
        self.certificates.mkdir(exist_ok=True)
        self.authority.write(self.certificates / "ca.crt")
        for name in self.clients:
            self.authority.issue(self.certificates, name)
        self.authority.issue(self.certificates, "broker").together(self.certificates / "broker.pem")

    def client(self, name: str = "admin", servers: str = "") -> dict[str, Any]:
        """What a client of kafka-python needs to be let in with the certificate of that name."""
        return {
            "bootstrap_servers": servers or self.servers,
            "security_protocol": "SSL",
            "ssl_cafile": str(self.certificates / "ca.crt"),
            "ssl_certfile": str(self.certificates / f"{name}.crt"),
            "ssl_keyfile": str(self.certificates / f"{name}.key"),
        }

    def sasl_client(self, user: str, password: str) -> dict[str, Any]:
        """What a client of kafka-python needs to be let in with a password."""
        return {
            "bootstrap_servers": self.sasl_servers,
            "security_protocol": "SASL_SSL",
            "ssl_cafile": str(self.certificates / "ca.crt"),
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_plain_username": user,
            "sasl_plain_password": password,
        }

    def add_user(self, user: str, password: str) -> None:
        """Give a user a password, or another one."""
        change = UserScramCredentialUpsertion(user, ScramMechanism.SCRAM_SHA_512, password)
        with KafkaAdminClient(**self.client()) as admin:
            faults = {name: fault for name, fault in admin.alter_user_scram_credentials([change]).items() if fault}
        if faults:
            raise ValueError(f"no password for {faults}")

    def allow(self, user: str, kind: ResourceType, name: str, *operations: ACLOperation) -> None:
        """Allow a user operations on one resource; what nobody allows is denied."""
        pattern = ResourcePattern(kind, name, ACLResourcePatternType.LITERAL)
        with KafkaAdminClient(**self.client()) as admin:
            admin.create_acls([ACL(f"User:{user}", "*", one, ACLPermissionType.ALLOW, pattern) for one in operations])

    def listeners(self) -> dict[str, tuple[int, str]]:
        """The controller speaks TLS too: in plain it would be nobody to the authorizer and be denied its own requests."""
        controller = (self.controller_port, "SSL")
        return {"MTLS": (self.port, "SSL"), "SASL": (self.sasl_port, "SASL_SSL"), "CONTROLLER": controller}

    def properties(self) -> dict[str, str]:
        """What server.properties says."""
        return {
            **super().properties(),
            "ssl.client.auth": "required",
            "listener.name.sasl.ssl.client.auth": "none",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self.certificates / "broker.pem"),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.certificates / "ca.crt"),
            "ssl.enabled.protocols": "TLSv1.3,TLSv1.2",
            "ssl.principal.mapping.rules": "RULE:^CN=([^,]+).*$/$1/,DEFAULT",
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.sasl.scram-sha-512.sasl.jaas.config": (
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            ),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "allow.everyone.if.no.acl.found": "false",
            "super.users": "User:broker;User:admin",
        }


class Member(Broker):
    """One of the nodes of a cluster."""

    heap = 384

    def __init__(self, node: int, folder: Path) -> None:
        super().__init__(folder)
        self.node = node
        self.voters = ""

    def quorum(self) -> dict[str, str]:
        """All members are controllers, known to each other from the first start."""
        return {"controller.quorum.voters": self.voters}

    def format_options(self) -> list[str]:
        """The voters of the properties are all that formatting needs."""
        return []

    def properties(self) -> dict[str, str]:
        """What server.properties says."""
        return {**super().properties(), **replication(copies=3, needed=2)}


class Cluster:
    """Three plain nodes: each topic is kept three times, and acks=all means on two of them."""

    durable = True

    def __init__(self, folder: Path | None = None) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="kafka-") if folder is None else None
        root = folder or Path(self._temporary.name)  # type: ignore[union-attr]
        self.members = [Member(node, root / str(node)) for node in (1, 2, 3)]
        voters = ",".join(f"{member.node}@{HOST}:{member.controller_port}" for member in self.members)
        for member in self.members:
            member.voters = voters
        self.servers = ",".join(member.servers for member in self.members)
        self.kind = f"{self.members[0].kind}, {len(self.members)} nodes"

    def start(self, index: int | None = None) -> Self:
        """Start one node, or all that do not run."""
        members = [member for member in self.members if member.process is None] if index is None else [self.members[index]]
        for member in members:
            member.launch()
        for member in members:
            member.wait()
        return self

    def stop(self, index: int | None = None) -> None:
        """End one node in good order, or all at the same time; those that then wait for a controller in vain, at once."""
        members = self.members if index is None else [self.members[index]]
        for member in members:
            member.send(signal.SIGTERM)
        for member in members:
            member.stop(within=5.0)

    def kill(self, index: int) -> None:
        """End one node at once, with kill -9."""
        self.members[index].kill()

    def close(self) -> None:
        """End all nodes at once and forget the data, unless the folder was given."""
        for member in self.members:
            member.close()
        if self._temporary:
            self._temporary.cleanup()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()


def make_topic(
    servers: str, name: str, partitions: int = 1, *, client: Mapping[str, Any] | None = None, **configs: str | int
) -> str:
    """Make a topic and return its name when each partition has a leader; a config's dots are written as underscores."""
    replication_factor = int(configs.pop("replication_factor", -1))
    topic = {
        "num_partitions": partitions,
        "replication_factor": replication_factor,
        "configs": {key.replace("_", "."): str(value) for key, value in configs.items()},
    }
    with KafkaAdminClient(**{"bootstrap_servers": servers, **(client or {})}) as admin:
        admin.create_topics({name: topic})
        admin.wait_for_topics([name])
    return name
