"""Detectors on a real broker: their states and alerts in topics, and groups that change under load."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from bench.kafka.broker import Server, make_topic
from bench.transport import rebalance, soak
from detector.checkpoint import Checkpoint
from detector.checkpoints.topic import MAX_BYTES, TopicCheckpoints
from detector.outboxes.topic import TopicOutbox
from nigrani.stream.kafka.log import TopicLog
from nigrani.stream.kafka.settings import Connection

if TYPE_CHECKING:
    from tests.kafka.conftest import Report


@pytest.fixture
def compacted(broker: Server) -> str:
    return make_topic(broker.servers, f"state-{uuid4().hex}", 2, cleanup_policy="compact", max_message_bytes=MAX_BYTES)


def open_log(broker: Server, topic: str) -> TopicLog:
    return TopicLog(Connection(servers=(broker.servers,)), topic, max_bytes=MAX_BYTES)


def test_a_large_state_and_what_was_told_since_come_back(broker: Server, compacted: str) -> None:
    state = bytes(range(256)) * (4 << 10)
    one = TopicCheckpoints(open_log(broker, compacted), "g")
    assert one.take(1) is None
    one.keep(1, Checkpoint(7, 3, state))
    dead, one = one, TopicCheckpoints(open_log(broker, compacted), "g")
    assert one.take(1) == Checkpoint(7, 3, state)
    dead.keep(1, Checkpoint(9, 3, b"of a dead owner"))
    one.keep(1, Checkpoint(8, 3, b"newer"))
    third = TopicCheckpoints(open_log(broker, compacted), "g")
    assert third.take(1) == Checkpoint(8, 3, b"newer")
    for place in (dead, one, third):
        place.close()


def test_alerts_told_before_and_after_a_position(broker: Server, compacted: str) -> None:
    outbox = TopicOutbox(open_log(broker, compacted))
    outbox.put(0, "a", b"{}")
    outbox.flush()
    position = outbox.position(0)
    for uid in ("b", "c", "b"):
        outbox.put(0, uid, b"{}")
    outbox.flush()
    assert outbox.pending == 0
    assert outbox.since(0, position) == {"b", "c"}
    outbox.close()


def test_detectors_come_and_go_and_no_alert_is_lost_or_told_twice(
    broker: Server, tmp_path: Path, no_kafka: str | None, brokers: Report
) -> None:
    if no_kafka:
        brokers.missing.append("detectors that are killed: the stand-in never gives up a member of a group")
        pytest.skip(brokers.missing[-1])
    report = rebalance.run(tmp_path, broker, 4000.0, 4, agents=2, cycles=1)
    assert report.faults == []
    assert len(report.changes) == 5
    assert len(report.told) >= 10


def test_nothing_is_lost_though_everything_is_killed(durable_broker: Server, tmp_path: Path) -> None:
    """The full length of it is `python -m bench.transport.soak`: five minutes without a broker."""
    plan = soak.Plan(outage=6.0, rate=3000.0, agents=2, detectors=1)
    report = soak.run(tmp_path, durable_broker, plan)
    assert report.faults == []
    assert report.dropped == 0
    assert len(report.told) >= 10
