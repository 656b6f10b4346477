"""What keeps a match from alerting: told once a story and time, in shadow, after the last day; and what is kept of it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from detector import gate as module
from detector.counters import Counters
from detector.gate import Gate, Passed
from detector.rule import Hit, Rule, Suppress

if TYPE_CHECKING:
    from nigrani.stream.event import Event
    from tests.detector.conftest import Maker

HOUR = Suppress(("host.id", "dicom.calling_ae"), 3600)
PLAIN = Rule(id="r", title="t", path=Path("x.yml"))


class Door:
    """A gate, and what passed it."""

    def __init__(self, **rule: object) -> None:
        self.rule = msgspec.structs.replace(PLAIN, **rule)
        self.counters = Counters()
        self.gate = Gate(self.counters)

    def passes(self, event: Event) -> bool:
        self.hit = Hit(rule=self.rule, host=event.host, when=event.timestamp, first=event.timestamp)
        return not self.gate.holds(self.hit, event)

    def held(self, reason: str) -> int:
        return self.counters.held.get(("r", reason), 0)


def test_one_story_is_told_once_within_its_time(make: Maker) -> None:
    door = Door(suppress=HOUR)
    told = [at for at in range(0, 10_000, 600) if door.passes(make.dicom("c-find", at, calling_ae="CT"))]
    assert told == [0, 3600, 7200]
    assert door.held("suppressed") == 14
    assert door.hit.story == ("host.id=ip:ws", "dicom.calling_ae=CT")


def test_another_value_is_another_story(make: Maker) -> None:
    door = Door(suppress=HOUR)
    assert [door.passes(make.dicom("c-find", 1, calling_ae=title)) for title in ("CT", "MR", "CT")] == [True, True, False]


def test_an_alert_knows_how_many_came_before_it(make: Maker) -> None:
    door = Door(suppress=HOUR)
    for at in (0, 10, 20, 3600):
        door.passes(make.dicom("c-find", at))
    assert door.hit.suppressed == 2
    door.passes(make.dicom("c-find", 7200))
    assert door.hit.suppressed == 0


def test_late_events_belong_to_the_story_they_are_near(make: Maker) -> None:
    door = Door(suppress=HOUR)
    assert door.passes(make.dicom("c-find", 7200))
    assert not door.passes(make.dicom("c-find", 7200 - 3599))
    assert door.passes(make.dicom("c-find", 0))
    assert not door.passes(make.dicom("c-find", 7300)), "a late alert does not make the story's newest forgotten"


def test_shadow_is_counted_once_a_story(make: Maker) -> None:
    door = Door(stage="shadow", suppress=HOUR)
    assert not any(door.passes(make.dicom("c-find", at)) for at in (0, 10))
    assert (door.held("shadow"), door.held("suppressed")) == (1, 1)


def test_after_its_last_day_by_the_events_time(make: Maker) -> None:
    event = make.dicom("c-find")
    last = event.timestamp.date()
    assert Door(expires=last).passes(event)
    assert Door(expires=last).passes(make.dicom("c-find", 15 * 3600))
    door = Door(expires=last)
    assert not door.passes(make.dicom("c-find", 16 * 3600)), "the next day begins at midnight, UTC"
    assert door.held("expired") == 1
    assert not Door(expires=last - timedelta(days=1)).passes(event)


@pytest.mark.parametrize("year", [1, 9999])
def test_any_date_is_judged(make: Maker, year: int) -> None:
    event = msgspec.structs.replace(make.dicom("c-find"), timestamp=datetime(year, 12, 31, tzinfo=UTC))
    assert Door(expires=date(2026, 1, 1), suppress=HOUR).passes(event) is (year == 1)


def test_stories_are_bounded_and_the_oldest_goes(make: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_STORIES", 3)
    door = Door(suppress=HOUR)
    for number in range(5):
        assert door.passes(make.dicom("c-find", number, calling_ae=str(number)))
    assert len(door.gate.state()) == 3
    assert door.counters.forgotten == 2
    assert door.passes(make.dicom("c-find", 10, calling_ae="0"))
    assert not door.passes(make.dicom("c-find", 10, calling_ae="4"))


def test_kept_state_goes_on(make: Maker) -> None:
    first, second = Door(suppress=HOUR), Door(suppress=HOUR)
    for at in (0, 10):
        first.passes(make.dicom("c-find", at))
    kept = msgspec.msgpack.decode(msgspec.msgpack.encode(first.gate.state()), type=list[Passed])
    second.gate.resume(kept)
    assert not second.passes(make.dicom("c-find", 20))
    assert second.passes(make.dicom("c-find", 3601))
    assert second.hit.suppressed == 2
