"""Merging by time; tests/kafka reads real topics."""

from __future__ import annotations

from collections import deque
from itertools import chain
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from kafka import TopicPartition

from nigrani.stream.kafka.past import _merged


def held(*parts: list[int]) -> dict[TopicPartition, deque[Any]]:
    return {TopicPartition("t", n): deque(SimpleNamespace(timestamp=at) for at in part) for n, part in enumerate(parts)}


def test_nothing_is_certain_while_a_partition_is_waited_for() -> None:
    assert list(_merged(held([1, 2], []))) == []


def test_what_is_certain_comes_and_the_rest_stays() -> None:
    waiting = held([1, 4, 9], [2, 3])
    assert [record.timestamp for record in _merged(waiting)] == [1, 2, 3]
    assert [record.timestamp for record in waiting[TopicPartition("t", 0)]] == [4, 9]


@given(st.lists(st.lists(st.integers(0, 50), min_size=1).map(sorted), min_size=1, max_size=4))
def test_the_order_is_that_of_time(parts: list[list[int]]) -> None:
    waiting = held(*parts)
    came = [record.timestamp for record in _merged(waiting)]
    rest = [record.timestamp for records in waiting.values() for record in records]
    assert came == sorted(came)
    assert sorted(came + rest) == sorted(chain.from_iterable(parts))
    assert not any(waiting.values()) or min(map(len, waiting.values())) == 0
