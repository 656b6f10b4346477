"""Who may do what: the least that agents and detectors need of a cluster with access control."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from kafka.admin import ACL, ACLOperation, ACLPermissionType, ResourcePattern, ResourceType
from kafka.errors import SecurityDisabledError

from nigrani.stream.bus import BusError
from nigrani.stream.kafka.settings import Topics
from nigrani.stream.kafka.topics import Admin


class Right(NamedTuple):
    """One operation on one thing that one user is allowed, from any host."""

    user: str
    """Kafka's principal without `User:`; of a certificate, its CN where the brokers map names to it."""
    thing: str
    """`topic` or `group`."""
    name: str
    operation: str


def agent(topics: Topics, user: str) -> Iterator[Right]:
    """An agent writes events, and reads nothing."""
    for operation in ("WRITE", "DESCRIBE"):
        yield Right(user, "topic", topics.topic, operation)


def detector(topics: Topics, user: str) -> Iterator[Right]:
    """A detector reads events as one of its group, and keeps alerts and states."""
    for operation in ("READ", "DESCRIBE"):
        yield Right(user, "topic", topics.topic, operation)
    yield Right(user, "group", topics.group, "READ")
    for name in (topics.alerts, topics.state):
        for operation in ("READ", "WRITE", "DESCRIBE"):
            yield Right(user, "topic", name, operation)


def rights(topics: Topics, agents: Iterable[str], detectors: Iterable[str]) -> list[Right]:
    """What all of these need."""
    return [
        *(right for user in agents for right in agent(topics, user)),
        *(right for user in detectors for right in detector(topics, user)),
    ]


def commands(wanted: Iterable[Right], servers: Iterable[str]) -> Iterator[str]:
    """The same for an administrator's shell: one call of kafka-acls.sh for each user and thing."""
    grouped: dict[tuple[str, str, str], list[str]] = {}
    for user, thing, name, operation in wanted:
        grouped.setdefault((user, thing, name), []).append(operation)
    for (user, thing, name), operations in grouped.items():
        words = ["kafka-acls.sh", "--bootstrap-server", ",".join(servers), "--command-config", "admin.properties", "--add"]
        words += ["--allow-principal", f"User:{user}", f"--{thing}", name]
        words += [word for operation in operations for word in ("--operation", operation.title())]
        yield shlex.join(words)


def apply(admin: Admin, wanted: Iterable[Right]) -> None:
    """Give these rights; those that are there already stay. Raises BusError."""
    lists = [
        ACL(
            f"User:{user}",
            "*",
            ACLOperation[operation],
            ACLPermissionType.ALLOW,
            ResourcePattern(ResourceType[thing.upper()], name),
        )
        for user, thing, name, operation in wanted
    ]
    with admin.told():
        faults = admin.client.create_acls(lists)["failed"]
    if faults:
        if faults[0] is SecurityDisabledError:
            raise BusError("the brokers have no access control (authorizer.class.name): everybody may do everything")
        raise BusError(f"{len(faults)} rights were refused ({faults[0].__name__}): ask as a user who may alter the cluster")
