"""A `TopicLog` in memory, as the tests of what is built on it want it: it can fail, and keeps what a topic keeps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from nigrani.stream.bus import BusError
from nigrani.stream.kafka.log import Entry, Header


class Ticket:
    """What became of one message."""

    def __init__(self) -> None:
        self.is_done = False
        self.exception: BaseException | None = None


class MemoryLog:
    """The messages of one topic."""

    def __init__(self) -> None:
        self.topic = "memory"
        self.down = False
        self.kept: dict[int, list[Entry]] = defaultdict(list)
        self._sent: list[tuple[int, Entry, Ticket]] = []

    def append(self, partition: int, key: bytes, value: bytes | None, headers: list[Header] | None = None) -> Ticket:
        if self.down:  # the client is given up, and what it still had with it
            for _, _, ticket in self._sent:
                ticket.is_done, ticket.exception = True, BusError("the brokers are away")
            self._sent = []
            raise BusError("the brokers are away")
        ticket = Ticket()
        self._sent.append((partition, Entry(0, key, value, headers or []), ticket))
        return ticket

    def flush(self, timeout: float) -> None:
        sent, self._sent = self._sent, []
        for partition, entry, ticket in sent:
            ticket.is_done = True
            if self.down:
                ticket.exception = BusError("the brokers are away")
            else:
                kept = self.kept[partition]
                kept.append(entry._replace(offset=len(kept)))
        if self.down:
            raise BusError("the brokers are away")

    def end(self, partition: int) -> int:
        if self.down:
            raise BusError("the brokers are away")
        return len(self.kept[partition])

    def read(self, partition: int, begin: int = 0) -> Iterator[Entry]:
        if self.down:
            raise BusError("the brokers are away")
        yield from self.kept[partition][begin:]

    def compact(self, partition: int) -> None:
        """Keep the last message of each key alone; offsets stay."""
        last = {entry.key: entry.offset for entry in self.kept[partition]}
        self.kept[partition] = [
            entry if last[entry.key] == entry.offset else entry._replace(key=b"", value=None)
            for entry in self.kept[partition]
        ]

    def close(self) -> None:
        self.down = True
