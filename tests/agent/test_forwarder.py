"""The forwarder against a Kafka that does what the test says; tests/kafka/test_forwarder.py has the real one."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from agent import forwarder as module
from agent import patience
from agent.deadletter import DeadLetters
from agent.forwarder import GROUP, MAX_REFUSED, REFUSALS, STATES, Forwarder
from nigrani.stream.kafka.fault import KINDS, Trouble
from nigrani.stream.kafka.message import EventWire, Message, partition_of, wire
from nigrani.stream.kafka.producer import LinkError
from nigrani.stream.memory import MemoryBus


class Fault(Exception):  # noqa: N818 - what a test says
    """A fault of this kind."""


class Kafka:
    """Keeps what it acknowledged, by partition."""

    def __init__(self) -> None:
        self.partitions = 3
        self.log: list[tuple[int, int]] = []
        """Partition and sequence of what arrived."""
        self.down = ""
        """Kind of trouble with which no link opens."""
        self.silent = False
        """Takes, and does not answer."""
        self.breaks_after = -1
        """So many more messages and the link ends; what arrived is not acknowledged."""
        self.refuses: set[int] = set()
        self.refuses_all = False
        self.opened = 0
        self.open_links: list[Link] = []


class Link:
    def __init__(self, kafka: Kafka, careful: bool) -> None:
        self.kafka = kafka
        self.careful = careful
        self.failure: BaseException | None = None
        self.closed = False

    def partitions(self) -> int:
        return 0 if self.failure else self.kafka.partitions

    def send(self, messages: Sequence[Message]) -> Ticket:
        assert not self.closed
        return Ticket(self, all(self._take(message) for message in messages))

    def _take(self, message: Message) -> bool:
        kafka = self.kafka
        numbers = [json.loads(line)["event.sequence"] for line in message.value.splitlines()]
        if self.failure is None and (kafka.refuses_all or kafka.refuses & set(numbers)):
            self.failure = Fault("refused")
        if self.failure is None and kafka.breaks_after == 0:
            self.failure = Fault("unreachable")
            kafka.down = "unreachable"
        if self.failure is not None:
            return False
        kafka.breaks_after -= 1
        kafka.log += [(message.partition, number) for number in numbers]
        return True

    def wait(self, ticket: Ticket, timeout: float) -> None:
        time.sleep(min(timeout, 0.01))

    def close(self) -> None:
        self.closed = True
        if self in self.kafka.open_links:
            self.kafka.open_links.remove(self)


class Ticket:
    def __init__(self, link: Link, taken: bool) -> None:
        self.link = link
        self.taken = taken

    def done(self) -> bool:
        return self.taken and self.link.failure is None and not self.link.kafka.silent


class Route:
    def __init__(self, kafka: Kafka) -> None:
        self.kafka = kafka

    def open(self, *, careful: bool = False) -> Link:
        if self.kafka.down:
            raise LinkError from Fault(self.kafka.down)
        self.kafka.opened += 1
        link = Link(self.kafka, careful)
        self.kafka.open_links.append(link)
        return link

    def trouble(self, error: BaseException) -> Trouble:
        cause = error.__cause__ if isinstance(error, LinkError) else error
        kind = str(cause) if isinstance(cause, Fault) else "timeout"
        return Trouble(kind, "trouble", "none")


def line(number: int) -> bytes:
    return json.dumps({"@timestamp": "2026-11-21T10:00:00Z", "event.sequence": number, "host.id": f"h{number % 7}"}).encode()


@pytest.fixture(autouse=True)
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("TURN", 0.01), ("GLANCE", 0.001), ("SECOND", 0.02), ("LAST_SECONDS", 0.5)):
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(patience, "BACKOFF", 0.01)
    monkeypatch.setattr(patience, "BACKOFF_MAX", 0.05)
    monkeypatch.setattr(patience, "BACKOFF_MAX_PERSON", 0.05)


@pytest.fixture
def kafka() -> Kafka:
    return Kafka()


@pytest.fixture
def bus() -> MemoryBus:
    return MemoryBus()


@pytest.fixture(params=["event", "batch"])
def forward(request: pytest.FixtureRequest, kafka: Kafka, bus: MemoryBus, tmp_path: Path) -> Iterator[Forwarder]:
    yield made(kafka, bus, tmp_path, request.param)
    assert len(kafka.open_links) <= 1


def made(kafka: Kafka, bus: MemoryBus, folder: Path, form: str = "event") -> Forwarder:
    return Forwarder(bus.reader(GROUP), Route(kafka), wire(form), DeadLetters(folder))


def publish(bus: MemoryBus, count: int, size: int = 10) -> None:
    for start in range(bus.next_event, bus.next_event + count, size):
        bus.publish(b"".join(line(number) + b"\n" for number in range(start, start + size)), size)


def until(forward: Forwarder, true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        forward.step()
        assert forward.state in STATES
        assert time.monotonic() < deadline, (forward.state, forward.patience.trouble, forward.counts)


def drain(forward: Forwarder) -> None:
    until(forward, lambda: forward.empty)


def arrived(kafka: Kafka) -> set[int]:
    """What arrived, none of it for the first time behind a later one of its partition."""
    for partition in {place for place, _ in kafka.log}:
        high, seen = -1, set[int]()
        for number in (number for place, number in kafka.log if place == partition):
            assert number > high or number in seen, (partition, number, high)
            high = max(high, number)
            seen.add(number)
    return {number for _, number in kafka.log}


def test_everything_arrives_once_and_is_committed(forward: Forwarder, kafka: Kafka, bus: MemoryBus) -> None:
    publish(bus, 1000)
    assert forward.state == "idle"
    drain(forward)
    assert arrived(kafka) == set(range(1000))
    assert len(kafka.log) == 1000
    assert (forward.counts.acknowledged, forward.counts.reconnects, kafka.opened) == (1000, 0, 1)
    forward.close()
    assert bus.committed[GROUP].offset == bus.next_offset
    assert kafka.open_links == []
    assert forward.counts.bytes == sum(len(line(number)) + 1 for number in range(1000))


def test_nothing_is_connected_before_there_is_something_to_send(forward: Forwarder, kafka: Kafka) -> None:
    for _ in range(5):
        forward.step()
    assert kafka.opened == 0
    assert forward.empty
    forward.close()


def test_what_was_not_acknowledged_is_not_committed(
    forward: Forwarder, kafka: Kafka, bus: MemoryBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka.silent = True
    publish(bus, 50)
    until(forward, lambda: forward.in_flight == 50)
    assert forward.state == "sending"
    assert forward.oldest == 1795255200
    forward.close()
    assert bus.committed[GROUP].offset == 0


def test_flight_is_bounded(kafka: Kafka, bus: MemoryBus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_FLIGHTS", 3)
    kafka.silent = True
    publish(bus, 2000)
    forward = made(kafka, bus, tmp_path)
    for _ in range(20):
        forward.step()
    assert forward.in_flight == 3 * module.FLIGHT_BATCHES * 10
    monkeypatch.setattr(module, "MAX_FLIGHTS", 100)
    monkeypatch.setattr(module, "MAX_BYTES", 10)
    forward.step()
    assert forward.in_flight == 3 * module.FLIGHT_BATCHES * 10


def test_a_link_that_breaks_is_made_again_from_the_first_not_acknowledged(
    forward: Forwarder, kafka: Kafka, bus: MemoryBus
) -> None:
    publish(bus, 300)
    for _ in range(5):
        kafka.breaks_after = 7
        until(forward, lambda: forward.patience.trouble is not None)
        assert forward.state == "stalled"
        kafka.breaks_after, kafka.down = -1, ""
        until(forward, lambda: forward.patience.trouble is None)
        publish(bus, 100)
    drain(forward)
    assert arrived(kafka) == set(range(bus.next_event))
    assert forward.counts.reconnects >= 1
    assert forward.dead.kept == 0


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"refused"}))
def test_trouble_drops_nothing_and_ends_by_itself(forward: Forwarder, kafka: Kafka, bus: MemoryBus, kind: str) -> None:
    kafka.down = kind
    publish(bus, 30)
    until(forward, lambda: forward.patience.trouble is not None)
    assert forward.patience.trouble is not None
    assert forward.patience.trouble.kind == kind
    until(forward, lambda: forward.lag == 30)
    kafka.down = ""
    drain(forward)
    assert arrived(kafka) == set(range(30))
    assert forward.patience.trouble is None
    assert forward.dead.kept == 0


def test_exactly_the_refused_become_dead_letters(forward: Forwarder, kafka: Kafka, bus: MemoryBus) -> None:
    kafka.refuses = {3, 4, 55, 99}
    publish(bus, 200)
    drain(forward)
    assert arrived(kafka) == set(range(200)) - kafka.refuses
    letters = [json.loads(text) for text in forward.dead.path.read_text().splitlines()]
    assert [json.loads(letter["event"])["event.sequence"] for letter in letters] == [3, 4, 55, 99]
    assert [letter["offset"] for letter in letters] == [0, 0, 5, 9]
    assert forward.counts.refused == {"refused": 4, "no_event": 0}
    assert set(forward.counts.refused) == set(REFUSALS)
    assert forward.patience.trouble is None


def test_where_everything_is_refused_it_is_not_the_events_fault(
    forward: Forwarder, kafka: Kafka, bus: MemoryBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "BACKOFF", 0.3)
    monkeypatch.setattr(patience, "BACKOFF_MAX_PERSON", 0.3)
    kafka.refuses_all = True
    publish(bus, 1000)
    end = time.monotonic() + 0.5
    until(forward, lambda: time.monotonic() > end)
    assert forward.dead.kept <= 3 * MAX_REFUSED
    assert forward.state == "stalled"
    kafka.refuses_all = False
    drain(forward)
    assert len(arrived(kafka)) == 1000 - forward.dead.kept


def test_what_is_no_event_is_a_dead_letter_once(forward: Forwarder, kafka: Kafka, bus: MemoryBus) -> None:
    bus.publish(line(0) + b"\n", 1)
    bus.publish(b"no event\n" + line(2) + b"\n{}\n", 3)
    kafka.breaks_after = 0
    until(forward, lambda: forward.patience.trouble is not None)
    kafka.breaks_after, kafka.down = -1, ""
    drain(forward)
    assert arrived(kafka) == {0, 2}
    letters = [json.loads(text) for text in forward.dead.path.read_text().splitlines()]
    assert [(letter["event"], letter["offset"]) for letter in letters] == [("no event", 1), ("{}", 1)]
    assert forward.counts.refused == {"refused": 0, "no_event": 2}
    assert forward.counts.acknowledged == 2


def test_only_lines_that_are_no_event(forward: Forwarder, kafka: Kafka, bus: MemoryBus) -> None:
    bus.publish(b"\n", 1)
    bus.publish(b"", 0)
    drain(forward)
    assert forward.counts.refused["no_event"] == 1
    forward.close()
    assert bus.committed[GROUP].offset == 2


def test_a_silent_link_is_asked_about(
    forward: Forwarder, kafka: Kafka, bus: MemoryBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "QUIET", 0.05)
    kafka.silent = True
    publish(bus, 20)
    until(forward, lambda: forward.in_flight == 20)
    kafka.down = "stalled"
    until(forward, lambda: forward.patience.trouble is not None)
    assert forward.patience.trouble is not None
    assert forward.patience.trouble.kind == "stalled"
    kafka.down, kafka.silent = "", False
    drain(forward)
    assert arrived(kafka) == set(range(20))


def test_a_link_is_given_up_though_brokers_answer(
    forward: Forwarder, kafka: Kafka, bus: MemoryBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "QUIET", 0.02)
    monkeypatch.setattr(module, "GIVE_UP", 0.1)
    monkeypatch.setattr(module, "ASK_SECONDS", 0.01)
    publish(bus, 20)
    monkeypatch.setattr(
        Ticket, "done", lambda ticket: ticket.taken and (ticket.link.careful or ticket.link.kafka.opened > 8)
    )
    drain(forward)
    assert forward.counts.reconnects >= 1
    assert arrived(kafka) == set(range(20))


def test_partitions_that_are_added_take_over_when_all_before_has_arrived(
    kafka: Kafka, bus: MemoryBus, tmp_path: Path
) -> None:
    forward = made(kafka, bus, tmp_path)
    kafka.silent = True
    publish(bus, 20)
    until(forward, lambda: forward.in_flight == 20)
    kafka.partitions = 8
    publish(bus, 20)
    for _ in range(5):
        forward.step()
    assert forward.in_flight == 20
    kafka.silent = False
    drain(forward)
    for partition, number in kafka.log:
        assert partition == partition_of(f"h{number % 7}".encode(), 3 if number < 20 else 8)


def test_fewer_partitions_are_another_topic(kafka: Kafka, bus: MemoryBus, tmp_path: Path) -> None:
    forward = made(kafka, bus, tmp_path)
    publish(bus, 20)
    drain(forward)
    kafka.partitions = 1
    publish(bus, 20)
    drain(forward)
    assert {partition for partition, number in kafka.log if number >= 20} == {0}


def test_what_the_bound_dropped_is_counted(kafka: Kafka, tmp_path: Path) -> None:
    bus = MemoryBus(max_bytes=2000)
    reader = bus.reader(GROUP)
    publish(bus, 100)
    forward = Forwarder(reader, Route(kafka), EventWire(), DeadLetters(tmp_path))
    drain(forward)
    until(forward, lambda: forward.missed > 0)
    assert forward.missed + len(kafka.log) == 100


def test_in_a_thread(forward: Forwarder, kafka: Kafka, bus: MemoryBus) -> None:
    publish(bus, 500)
    forward.start()
    deadline = time.monotonic() + 10
    while len(kafka.log) < 500 and time.monotonic() < deadline:
        time.sleep(0.01)
    publish(bus, 30)
    forward.stop()
    assert arrived(kafka) == set(range(530))
    assert bus.committed[GROUP].offset == bus.next_offset


def test_stop_ends_soon_though_kafka_is_down(forward: Forwarder, kafka: Kafka, bus: MemoryBus) -> None:
    kafka.down = "unreachable"
    publish(bus, 50)
    forward.start()
    time.sleep(0.1)
    begin = time.monotonic()
    forward.stop()
    assert time.monotonic() - begin < 2
    assert bus.committed[GROUP].offset == 0


def test_a_disk_that_fails_does_not_end_it(
    forward: Forwarder, kafka: Kafka, bus: MemoryBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    poll = forward._reader.poll
    fails = [True]

    def broken(limit: int, timeout: float = 0) -> object:
        if fails[0]:
            raise OSError(5, "Input/output error")
        return poll(limit, timeout)

    monkeypatch.setattr(forward._reader, "poll", broken)
    publish(bus, 50)
    forward.start()
    time.sleep(0.1)
    assert forward.state == "stalled"
    fails[0] = False
    deadline = time.monotonic() + 10
    while len(kafka.log) < 50 and time.monotonic() < deadline:
        time.sleep(0.01)
    forward.stop()
    assert arrived(kafka) == set(range(50))
    assert forward.patience.trouble is None
