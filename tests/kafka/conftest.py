"""Brokers for the tests that need one, started when the first test asks, and a word at the end on what was used."""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.used import Report, report

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # how kafka-python reads its protocol, to Python 3.11 and 3.12
    from bench.kafka.broker import Broker, Cluster, SecureBroker, Server, Unavailable, libraries, make_topic
    from bench.kafka.noida import NoidaBroker

HERE = Path(__file__).parent
CHOICE = "NIGRANI_TEST_BROKER"
"""Environment variable: noida takes the stand-in though Kafka could be had."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """kafka-python leaves the socket of a refused connection to the garbage collector."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"))


def pytest_sessionfinish() -> None:
    """Let the garbage collector find those sockets before warnings are errors again."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture(scope="session")
def brokers(pytestconfig: pytest.Config) -> Report:
    """The report that all fixtures of this session write."""
    return report(pytestconfig)


@pytest.fixture(scope="session")
def no_kafka() -> str | None:
    """Why Kafka cannot be run here, if so."""
    if os.environ.get(CHOICE) == "noida":
        return f"{CHOICE} is noida"
    try:
        libraries()
    except Unavailable as reason:
        return str(reason)
    return None


@pytest.fixture(scope="session")
def broker(brokers: Report, no_kafka: str | None) -> Iterator[Server]:
    """A plain broker: Kafka, or what stands in for it."""
    try:
        server = NoidaBroker() if no_kafka else Broker()
    except Unavailable as reason:
        brokers.missing.append(f"all that needs a broker: {no_kafka}; {reason}")
        pytest.skip(f"{no_kafka}; {reason}")
    brokers.use(server.kind, f"plain; stands in for Kafka: {no_kafka}" if no_kafka else "plain")
    with server:
        yield server


@pytest.fixture
def durable_broker(broker: Server, brokers: Report) -> Server:
    """A plain broker that keeps through kill -9 what it acknowledged."""
    if not broker.durable:
        reason = f"{broker.kind} may lose acknowledged records when killed"
        brokers.missing.append(f"what a broker keeps when killed: {reason}")
        pytest.skip(reason)
    return broker


@pytest.fixture(scope="session")
def secure_broker(brokers: Report, no_kafka: str | None) -> Iterator[SecureBroker]:
    """A broker with client certificates, passwords and access control."""
    if no_kafka:
        brokers.missing.append(f"TLS, passwords and access control: {no_kafka}")
        pytest.skip(f"only Kafka has TLS, passwords and access control, and {no_kafka}")
    with SecureBroker() as server:
        brokers.use(server.kind, "with TLS, SCRAM and ACLs")
        yield server


@pytest.fixture(scope="module")
def cluster(brokers: Report, no_kafka: str | None) -> Iterator[Cluster]:
    """Three nodes that may lose one."""
    if no_kafka:
        brokers.missing.append(f"three nodes: {no_kafka}")
        pytest.skip(f"only Kafka has replicas, and {no_kafka}")
    with Cluster() as servers:
        brokers.use(servers.kind, "plain")
        yield servers


@pytest.fixture
def topic(broker: Server, request: pytest.FixtureRequest) -> str:
    """A fresh topic on the plain broker: one partition, or as many as indirect parametrization says."""
    return make_topic(broker.servers, f"topic-{uuid4().hex}", getattr(request, "param", 1))
