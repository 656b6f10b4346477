"""Checkpoints in a topic: the newest owner's last one counts, whatever an owner taken for dead still writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from detector.checkpoint import Checkpoint
from detector.checkpoints import topic as module
from detector.checkpoints.topic import TopicCheckpoints
from tests.detector.topic_log import MemoryLog

if TYPE_CHECKING:
    from nigrani.stream.kafka.log import TopicLog


def place(log: MemoryLog, group: str = "g") -> TopicCheckpoints:
    return TopicCheckpoints(cast("TopicLog", log), group)


def at(offset: int) -> Checkpoint:
    return Checkpoint(next=offset, told=0, state=b"state %d" % offset)


def test_the_last_one_kept_comes_back() -> None:
    log = MemoryLog()
    first = place(log)
    assert first.take(0) is None
    first.keep(0, at(1))
    first.keep(0, at(2))
    assert place(log).take(0) == at(2)
    assert place(log).take(1) is None
    assert place(log, "other").take(0) is None


def test_what_an_owner_taken_for_dead_writes_counts_no_more() -> None:
    log = MemoryLog()
    dead, heir, third = place(log), place(log), place(log)
    dead.take(0)
    dead.keep(0, at(1))
    assert heir.take(0) == at(1)
    dead.keep(0, at(100))
    heir.keep(0, at(5))
    dead.keep(0, at(101))
    assert third.take(0) == at(5)


def test_an_heir_that_kept_nothing_yet_is_still_above_the_dead() -> None:
    log = MemoryLog()
    dead, heir = place(log), place(log)
    dead.take(0)
    dead.keep(0, at(1))
    heir.take(0)
    third = place(log)
    assert third.take(0) == at(1)
    third.keep(0, at(2))
    heir.keep(0, at(7))
    assert place(log).take(0) == at(2)


def test_compaction_keeps_the_state_and_what_is_old_goes() -> None:
    log = MemoryLog()
    for owner in range(5):
        one = place(log)
        one.take(0)
        one.keep(0, at(owner))
        log.compact(0)
    one.keep(0, at(9))
    log.compact(0)
    kept = [entry for entry in log.kept[0] if entry.value]
    assert len(kept) == 1
    assert place(log).take(0) == at(9)


def test_the_state_is_found_far_from_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TAIL", 4)
    log = MemoryLog()
    one = place(log)
    one.take(0)
    one.keep(0, at(3))
    other = place(log, "other")
    other.take(0)
    for offset in range(10):
        other.keep(0, at(offset))
    assert place(log).take(0) == at(3)


def test_a_damaged_state_gives_way_to_the_one_before(caplog: pytest.LogCaptureFixture) -> None:
    log = MemoryLog()
    one = place(log)
    one.take(0)
    one.keep(0, at(3))
    log.append(0, b"g/0/7", b"damaged")
    log.append(0, b"g/0/not a number", b"x")
    log.append(0, b"", b"x")
    log.flush(1)
    heir = place(log)
    assert heir.take(0) == at(3)
    assert "is not used" in caplog.text
    heir.keep(0, at(4))
    assert place(log).take(0) == at(4)


def test_brokers_that_are_away_are_an_oserror() -> None:
    log = MemoryLog()
    one = place(log)
    one.take(0)
    log.down = True
    with pytest.raises(OSError, match="away"):
        one.keep(0, at(1))
    with pytest.raises(OSError, match="away"):
        place(log).take(0)
    log.down = False
    one.keep(0, at(2))
    assert place(log).take(0) == at(2)
