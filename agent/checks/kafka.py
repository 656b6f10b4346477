"""The way to Kafka: each server, then what the cluster lets us do. Nothing is written, and no topic is made."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from agent.check import Finding, Subject, Task
from agent.checks.files import authorities, identity, secret, validity
from agent.setup import check_client
from nigrani.service.errors import Problem
from nigrani.stream.kafka.fault import trouble, visit

NEEDED = ("WRITE", "DESCRIBE")
"""The rights that an agent needs on its topic."""
SHARE = 0.8
"""Of the time that there is: what is given to the brokers, so that their silence is told by us."""


def tasks(subject: Subject) -> Iterator[Task]:
    """One for the files, one for each server, one for the topic."""
    yield Task("kafka", partial(files, subject))
    for name in dict.fromkeys(subject.config.kafka.servers):
        yield Task(f"kafka {name}", partial(server, name, subject))
    yield Task(f"topic {subject.config.kafka.topic}", partial(topic, subject))


def files(subject: Subject) -> Iterator[Finding]:
    """The client library, certificates, keys and the password."""
    kafka = subject.config.kafka
    try:
        check_client(kafka)
    except Problem as problem:
        yield Finding("fail", "kafka", str(problem), "", subject.place("kafka.client"))
    if kafka.tls.ca is not None:
        yield from authorities("kafka", kafka.tls.ca, subject, "kafka.tls.ca")
    if kafka.tls.certificate is not None and kafka.tls.key is not None:
        yield from identity("kafka", kafka.tls.certificate, kafka.tls.key, subject, "kafka.tls")
    if kafka.sasl.password is not None:
        yield from secret("kafka", kafka.sasl.password, subject, "kafka.sasl.password")
    if kafka.tls.ca is None:
        message = "events go unencrypted" + (", and so does the way in" if kafka.sasl.user else "")
        yield Finding("warn", "kafka", message, "set kafka.tls.ca", subject.place("kafka.servers"))


def server(name: str, subject: Subject) -> Iterator[Finding]:
    """Its name, its port, its certificate."""
    about, place, tls = f"kafka {name}", subject.place("kafka.servers"), subject.config.kafka.tls
    try:
        until = visit(name, tls, SHARE * subject.seconds)
    except OSError as error:
        found = trouble(error, name)
        yield Finding("fail", about, found.message.removeprefix(f"{name}: "), found.remedy, place)
        return
    if until is None:
        yield Finding("ok", about, "can be reached")
    else:
        yield validity(about, until, "can be reached; its certificate", place)


def topic(subject: Subject) -> Iterator[Finding]:
    """Who we are to the cluster, whether the topic is there, and whether we may write to it."""
    from kafka.errors import KafkaError, for_code  # noqa: PLC0415 - half a second, only where brokers are asked

    from nigrani.stream.kafka.client import Dial  # noqa: PLC0415 - as above

    kafka = subject.config.kafka
    about, place = f"topic {kafka.topic}", subject.place("kafka.topic")
    dial = Dial(kafka, "nigrani-agent-check")
    patience = int(1000 * SHARE * subject.seconds)
    try:
        admin = dial.admin(patience, patience)
        try:
            told = admin.describe_topics([kafka.topic])[0]
        finally:
            admin.close()
        if told["error_code"]:
            raise for_code(told["error_code"])(kafka.topic)
    except (KafkaError, OSError, ValueError) as error:
        found = trouble(dial.fault or error, "the cluster", f"topic {kafka.topic}")
        yield Finding("fail", about, found.message, found.remedy, place)
        return
    partitions = told["partitions"]
    leaderless = sum(one["leader_id"] < 0 for one in partitions)
    if leaderless:
        message = f"{leaderless} of {len(partitions)} partitions have no leader"
        yield Finding("fail", about, message, "bring the missing brokers back", place)
    yield _rights(about, told.get("authorized_operations"), len(partitions), place)


def _rights(about: str, given: list[str] | None, partitions: int, place: str) -> Finding:
    """None: brokers older than that question."""
    there = f"is there, with {partitions} partitions"
    if given is None:
        return Finding("warn", about, f"{there}; the brokers do not tell what we may do", "", place)
    missing = [right for right in NEEDED if right not in given and "ALL" not in given]
    if missing:
        remedy = "an administrator gives it: nigrani topics acls --agent USER"
        return Finding("fail", about, f"{there}, and we lack the right to {', '.join(missing)}", remedy, place)
    return Finding("ok", about, f"{there}, and we may write to it")
