"""How topics should be; tests/kafka makes them."""

from __future__ import annotations

import pytest

from nigrani.stream.kafka.settings import Topics
from nigrani.stream.kafka.topics import DAY, Found, differences, shapes

TOPICS = Topics(servers=("127.0.0.1:1",))


def test_the_three_topics_of_a_site() -> None:
    events, alerts, state = shapes(TOPICS, 12, 3, 3 * DAY)
    assert [shape.name for shape in (events, alerts, state)] == ["nigrani.events", "nigrani.alerts", "nigrani.state"]
    assert {(shape.partitions, shape.copies) for shape in (events, alerts, state)} == {(12, 3)}
    assert events.settings["retention.ms"] == "259200000"
    assert [shape.settings["cleanup.policy"] for shape in (events, alerts, state)] == ["delete", "compact,delete", "compact"]


@pytest.mark.parametrize(("copies", "needed"), [(1, "1"), (2, "1"), (3, "2")])
def test_what_is_acknowledged_survives_a_broker_where_there_are_three(copies: int, needed: str) -> None:
    assert {shape.settings["min.insync.replicas"] for shape in shapes(TOPICS, 1, copies)} == {needed}


@pytest.mark.parametrize(("retention", "segment"), [(3600, "3600000"), (30 * DAY, "86400000"), (-0.001, "86400000")])
def test_a_segment_is_never_longer_than_what_is_kept(retention: float, segment: str) -> None:
    assert shapes(TOPICS, 1, 1, retention)[0].settings["segment.ms"] == segment


def test_differences_are_told() -> None:
    shape = shapes(TOPICS, 6, 3)[2]
    assert list(differences(shape, Found(6, 3, 0, shape.settings | {"flush.ms": "1"}))) == []
    other = shape.settings | {"cleanup.policy": "delete"}
    del other["segment.ms"]
    assert list(differences(shape, Found(3, 1, 0, other))) == [
        "3 partitions, should be 6",
        "1 replicas, should be 3",
        "cleanup.policy is delete, should be compact",
        "segment.ms is , should be 3600000",
    ]
