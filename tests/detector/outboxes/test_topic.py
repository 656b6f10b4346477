"""Alerts in a topic: each gets there, whatever the brokers do meanwhile, and a restart knows which did."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from detector.outboxes import topic as module
from detector.outboxes.topic import TopicOutbox
from tests.detector.topic_log import MemoryLog

if TYPE_CHECKING:
    from nigrani.stream.kafka.log import TopicLog


def outbox(log: MemoryLog) -> TopicOutbox:
    return TopicOutbox(cast("TopicLog", log))


def test_a_restart_reads_what_was_told_since() -> None:
    log = MemoryLog()
    one = outbox(log)
    one.put(0, "a", b"{}")
    one.flush()
    position = one.position(0)
    one.put(0, "b", b"{}")
    one.put(1, "c", b"{}")
    one.flush()
    again = outbox(log)
    assert again.since(0, position) == {"b"}
    assert again.since(0, 0) == {"a", "b"}
    assert again.since(1, 0) == {"c"}


def test_what_the_brokers_could_not_take_is_sent_again(caplog: pytest.LogCaptureFixture) -> None:
    log = MemoryLog()
    one = outbox(log)
    one.put(0, "sent before", b"{}")
    log.down = True
    for uid in "abc":
        one.put(0, uid, b"{}")
    for _ in range(3):
        with pytest.raises(OSError, match="away"):
            one.flush()
    assert one.pending == 4
    log.down = False
    one.put(0, "d", b"{}")
    one.flush()
    assert one.pending == 0
    assert [entry.key for entry in log.kept[0]] == [b"sent before", b"a", b"b", b"c", b"d"]
    assert caplog.text.count("cannot be sent") == 1
    assert caplog.text.count("again") == 1


def test_what_is_held_is_bounded_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PENDING", 3)
    log = MemoryLog()
    log.down = True
    one = outbox(log)
    for number in range(10):
        one.put(0, str(number), b"{}")
    assert (one.pending, one.dropped) == (3, 7)
    log.down = False
    one.flush()
    assert [entry.key for entry in log.kept[0]] == [b"7", b"8", b"9"]


def test_an_end_without_brokers_says_what_is_lost(caplog: pytest.LogCaptureFixture) -> None:
    log = MemoryLog()
    one = outbox(log)
    log.down = True
    one.put(0, "a", b"{}")
    one.close()
    assert "1 alerts are not in topic memory" in caplog.text
