"""What every outbox does alike, wherever its log is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from detector.outbox import Outbox
from detector.outboxes.file import FileOutbox
from detector.outboxes.tee import TeeOutbox
from detector.outboxes.topic import TopicOutbox
from tests.detector.topic_log import MemoryLog

if TYPE_CHECKING:
    from nigrani.stream.kafka.log import TopicLog


def finding(uid: str) -> bytes:
    return b'{"metadata":{"uid":"%b"}}' % uid.encode()


def a_file(folder: Path) -> Outbox:
    return FileOutbox(folder / "alerts.ndjson")


def a_topic(_: Path) -> Outbox:
    return TopicOutbox(cast("TopicLog", MemoryLog()))


def both(folder: Path) -> Outbox:
    return TeeOutbox(a_topic(folder), a_file(folder))


@pytest.fixture(params=[a_file, a_topic, both])
def outbox(request: pytest.FixtureRequest, tmp_path: Path) -> Outbox:
    make: Callable[[Path], Outbox] = request.param
    return make(tmp_path)


def test_what_was_put_after_a_position_is_found_from_there(outbox: Outbox) -> None:
    for uid in ("a", "b"):
        outbox.put(0, uid, finding(uid))
    outbox.flush()
    position = outbox.position(0)
    for uid in ("c", "d"):
        outbox.put(0, uid, finding(uid))
    outbox.flush()
    assert outbox.since(0, 0) == {"a", "b", "c", "d"}
    assert outbox.since(0, position) == {"c", "d"}
    assert outbox.since(0, outbox.position(0)) == set()
    assert (outbox.pending, outbox.dropped) == (0, 0)
    outbox.close()


def test_an_id_that_was_put_twice_is_one(outbox: Outbox) -> None:
    for _ in range(2):
        outbox.put(0, "a", finding("a"))
    outbox.flush()
    assert outbox.since(0, 0) == {"a"}
    outbox.close()


def test_an_empty_log_has_nothing_to_tell(outbox: Outbox) -> None:
    outbox.flush()
    assert outbox.since(0, outbox.position(0)) == set()
    outbox.close()
