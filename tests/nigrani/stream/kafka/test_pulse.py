"""What silence means, by a clock that the test moves on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from kafka import TopicPartition
from kafka.errors import (
    CoordinatorNotAvailableError,
    KafkaError,
    KafkaTimeoutError,
    LeaderNotAvailableError,
    TopicAuthorizationFailedError,
)
from kafka.future import Future
from kafka.structs import MemberState

from nigrani.stream.bus import BusError
from nigrani.stream.kafka import pulse as module
from nigrani.stream.kafka.client import Dial
from nigrani.stream.kafka.pulse import JOIN_SECONDS, LOOK_SECONDS, PATIENCE_SECONDS, QUIET_SECONDS, Pulse
from nigrani.stream.kafka.settings import Connection

HELD = [TopicPartition("t", 0)]


class Bench:
    """A pulse, the client it feels, and the time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.now))
        self.answer = Future()
        self.asked = 0
        self.leader = 1
        self.state = MemberState.STABLE
        self.client: Any = SimpleNamespace(
            _cluster=SimpleNamespace(request_update=self._ask, leader_for_partition=lambda place: self.leader),
            group_metadata=lambda: SimpleNamespace(state=self.state),
        )
        self.pulse = Pulse(Dial(Connection(servers=("127.0.0.1:1",)), "test"), "t")
        self.pulse.begin()

    def _ask(self) -> Future:
        self.asked += 1
        return self.answer

    def after(self, seconds: float) -> bool:
        self.now += seconds
        return self.pulse.ask(self.client, HELD)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


def test_a_little_silence_is_nothing(bench: Bench) -> None:
    assert not bench.after(QUIET_SECONDS - 0.1)
    bench.pulse.alive()
    assert not bench.after(QUIET_SECONDS - 0.1)
    assert bench.asked == 0


def test_an_answer_says_that_all_is_well(bench: Bench) -> None:
    bench.after(QUIET_SECONDS)
    bench.answer.success(None)
    assert bench.after(0.1)
    assert bench.asked == 1
    assert not bench.after(0.1)
    assert bench.asked == 1


def test_no_answer_is_told_now_and_then(bench: Bench) -> None:
    bench.after(QUIET_SECONDS)
    assert not bench.after(PATIENCE_SECONDS - 0.1)
    with pytest.raises(KafkaTimeoutError):
        bench.after(0.1)
    assert not bench.after(LOOK_SECONDS)
    with pytest.raises(KafkaTimeoutError):
        bench.after(PATIENCE_SECONDS)
    bench.answer.success(None)
    assert bench.after(0.1)


def test_an_answer_that_denies_is_raised_once(bench: Bench) -> None:
    bench.after(QUIET_SECONDS)
    bench.answer.failure(TopicAuthorizationFailedError())
    with pytest.raises(TopicAuthorizationFailedError):
        bench.after(0.1)
    assert not bench.after(0.1)


def test_a_partition_without_a_leader_cannot_be_read(bench: Bench) -> None:
    bench.leader = -1
    bench.after(QUIET_SECONDS)
    bench.answer.success(None)
    with pytest.raises(LeaderNotAvailableError):
        bench.after(0.1)


def test_a_group_has_time_to_come_about(bench: Bench) -> None:
    bench.state = MemberState.REBALANCING
    bench.answer.success(None)
    bench.after(QUIET_SECONDS)
    assert not bench.after(0)
    bench.after(JOIN_SECONDS)
    with pytest.raises(CoordinatorNotAvailableError):
        bench.after(0)


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_a_trouble_is_told_when_it_begins_changes_and_ends(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    errors: list[KafkaError] = [KafkaTimeoutError("no answer")] * 3 + [TopicAuthorizationFailedError("t")] * 2
    for error in errors:
        bench.pulse.troubled(error)
    assert bench.pulse.trouble == "authorization"
    bench.pulse.alive()
    bench.pulse.alive()
    assert bench.pulse.trouble == ""
    first, second, last = told(caplog)
    assert first.startswith("Kafka topic t is not read: 127.0.0.1:1: no broker can be reached")
    assert second.startswith("Kafka topic t is not read: the brokers do not allow this user on topic t")
    assert last == "Kafka topic t is read again"


def test_a_trouble_of_a_part_goes_on_while_the_rest_is_read(bench: Bench) -> None:
    bench.pulse.troubled(TopicAuthorizationFailedError("state"))
    bench.pulse.alive(whole=False)
    assert bench.pulse.trouble == "authorization"


def test_what_another_topic_has_is_told_in_its_own_words(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.pulse.troubled(BusError("topic state does not exist; create it"))
    assert told(caplog) == ["Kafka topic t is not read: topic state does not exist; create it"]
