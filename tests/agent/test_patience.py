from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from agent import patience as module
from agent.patience import BACKOFF_MAX, BACKOFF_MAX_PERSON, Patience
from nigrani.stream.kafka.fault import KINDS, Trouble


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def trouble(kind: str) -> Trouble:
    return Trouble(kind, f"it is {kind}", "mend it")


def waits(patience: Patience, kind: str, clock: Clock, count: int) -> list[float]:
    found = []
    for _ in range(count):
        patience.stall(trouble(kind))
        assert patience.ready() == (patience.wait == 0)
        found.append(patience.wait)
        clock.now += patience.wait
        assert patience.ready()
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_attempts_come_slower_up_to_a_bound(clock: Clock, kind: str) -> None:
    person = kind in {"certificate", "authentication", "authorization", "topic", "refused"}
    found = waits(Patience(), kind, clock, 20)
    assert found[0] <= 0.5
    assert found[1] <= 1
    longest = BACKOFF_MAX_PERSON if person else BACKOFF_MAX
    assert 0.7 * longest <= found[-1] <= longest


def test_a_refused_record_is_not_waited_for_at_first(clock: Clock) -> None:
    first, second = waits(Patience(), "refused", clock, 2)
    assert first == 0
    assert second > 0


def test_it_is_told_when_it_begins_changes_and_ends(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    patience = Patience()
    with caplog.at_level(logging.WARNING):
        patience.over()
        waits(patience, "unreachable", clock, 5)
        waits(patience, "certificate", clock, 5)
        clock.now = 160
        patience.over()
        patience.over()
    assert [record.message for record in caplog.records] == [
        "events stay in the spool: it is unreachable; mend it",
        "events stay in the spool: it is certificate; mend it",
        "Kafka takes events again, after 60 s",
    ]
    assert patience.trouble is None
    assert patience.ready()
