"""The alerts topic as a log; with brokers in tests/kafka/test_cases.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import msgspec

from detector.cases.log import MOST
from detector.cases.logs.topic import TopicAlerts
from nigrani.stream.kafka.log import Entry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nigrani.stream.kafka.log import TopicLog


class Messages:
    """A topic in memory, with what compaction has left."""

    topic = "alerts"

    def __init__(self, *partitions: dict[int, bytes | None], end: int = 0) -> None:
        self.kept = list(partitions)
        self.least = end

    def partitions(self) -> list[int]:
        return list(range(len(self.kept)))

    def end(self, partition: int) -> int:
        return max(max(self.kept[partition], default=-1) + 1, self.least)

    def read(self, partition: int, begin: int = 0) -> Iterator[Entry]:
        for offset, value in sorted(self.kept[partition].items()):
            if offset >= begin:
                yield Entry(offset, b"uid", value, [])

    def close(self) -> None:
        pass


def alerts(messages: Messages, place: str | None = None) -> TopicAlerts:
    return TopicAlerts(cast("TopicLog", messages), place)


def everything(log: TopicAlerts) -> tuple[list[bytes], str]:
    found: list[bytes] = []
    place = ""
    while (piece := log.read()) is not None:
        found += piece.findings
        place = piece.place
    return found, place


def test_all_partitions_are_read_and_each_has_its_place() -> None:
    messages = Messages({0: b"a", 3: b"b", 4: None}, {7: b"c"})
    found, place = everything(alerts(messages))
    assert found == [b"a", b"b", b"c"]
    assert msgspec.json.decode(place) == {"topic": "alerts", "next": {"0": 5, "1": 8}}
    messages.kept[0][5] = b"d"
    log = alerts(messages, place)
    assert log.read() == ([b"d"], place.replace('"0":5', '"0":6'))
    assert log.behind() == 0


def test_what_was_compacted_away_at_the_end_is_no_backlog() -> None:
    log = alerts(Messages({0: b"a"}, end=9))
    assert everything(log)[0] == [b"a"]
    assert log.behind() == 0


def test_a_topic_made_anew_is_read_from_its_beginning() -> None:
    _, place = everything(alerts(Messages({8: b"a"})))
    assert everything(alerts(Messages({0: b"b"}), place))[0] == [b"b"]


def test_another_topic_s_place_and_a_file_s_are_the_beginning() -> None:
    for place in ('{"topic":"other","next":{"0":5}}', '{"inode":1,"offset":5,"mark":""}', "x"):
        assert everything(alerts(Messages({0: b"a"}), place))[0] == [b"a"]


def test_no_partition_waits_for_another() -> None:
    many: dict[int, bytes | None] = {number: b"%d" % number for number in range(3 * MOST)}
    log = alerts(Messages(many, {0: b"other"}))
    pieces = [log.read() for _ in range(4)]
    assert [len(piece.findings) for piece in pieces if piece] == [MOST, 1, MOST, MOST]
    assert log.read() is None
