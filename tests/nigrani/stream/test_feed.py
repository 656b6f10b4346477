"""A spool as a feed: one partition, begun and ended, and what was not done comes again."""

from __future__ import annotations

from nigrani.stream.feed import SpoolFeed
from nigrani.stream.memory import MemoryBus


class Books:
    """An owner that writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int]] = []

    def begin(self, partition: int) -> int | None:
        self.told.append(("begin", partition))
        return None

    def end(self, partition: int) -> None:
        self.told.append(("end", partition))

    def lost(self, partition: int) -> None:
        self.told.append(("lost", partition))


def test_what_is_not_done_comes_again() -> None:
    bus = MemoryBus()
    for number in range(3):
        bus.publish(b"%d\n%d\n" % (number, number + 10), 2)
    owner = Books()
    feed = SpoolFeed(bus.reader("g"))
    feed.start(owner)
    assert feed.lag() == 6
    deliveries = feed.poll(0)
    assert [(delivery.partition, delivery.next, delivery.lines) for delivery in deliveries] == [
        (0, 1, [b"0", b"10"]),
        (0, 2, [b"1", b"11"]),
        (0, 3, [b"2", b"12"]),
    ]
    feed.done(0, 2)
    feed.close()
    assert owner.told == [("begin", 0), ("end", 0)]
    again = SpoolFeed(bus.reader("g"))
    again.start(Books())
    assert [delivery.lines for delivery in again.poll(0)] == [[b"2", b"12"]]
    assert (again.missed, again.trouble, again.poll(0)) == (0, "", [])


def test_what_was_dropped_is_missed() -> None:
    bus = MemoryBus(max_bytes=10)
    feed = SpoolFeed(bus.reader("g"))
    feed.start(Books())
    for _ in range(5):
        bus.publish(b"12345\n", 1)
    feed.poll(0)
    assert feed.missed == 4


def test_a_feed_that_never_began_ends_nothing() -> None:
    SpoolFeed(MemoryBus().reader("g")).close()
