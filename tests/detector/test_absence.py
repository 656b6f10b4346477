"""An absence is told where a presence would have been seen, and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from detector import absence as module
from detector.absence import LEAST_MET, MAX_VERDICTS, MOST_OF_ONE, Absence
from detector.correlation_kind import Plan, Row
from detector.rule import Rule
from nigrani.stream.codec import encode
from nigrani.stream.event import Event
from nigrani.stream.events import AiInference, DicomAudit

if TYPE_CHECKING:
    from detector.correlation import CorrelationState
    from tests.detector.conftest import Maker

DAY = 86_400
START = datetime(2026, 8, 3, tzinfo=UTC).timestamp()
PLAN = Plan("temporal_without", ("study",), 7 * DAY, patience=600)


def of_inference(event: Event) -> Row:
    return (getattr(event, "study", ""),)


def of_audit(event: Event) -> Row:
    return getattr(event, "study", ""), getattr(event, "study_hash", "")


class Site:
    """An archive and clients that ask a model about what it stored."""

    def __init__(self, make: Maker, plan: Plan = PLAN) -> None:
        self.make = make
        readings = [{AiInference: of_inference}, {DicomAudit: of_audit}]
        self.rule = Absence(Rule(id="r", title="t", path=Path("x.yml")), plan, readings, "an inference, and no arrival")
        self.told: list[tuple[str, float]] = []
        self.number = 0

    def arrives(self, at: float, study: str, study_hash: str = "") -> None:
        self.number += 1
        when = datetime.fromtimestamp(START + at, UTC)
        event = DicomAudit(
            timestamp=when, id=f"d{self.number}", sequence=self.number, agent="a", host="ip:ct", action="store", study=study,
            study_hash=study_hash,
        )  # fmt: skip
        self._take(event, 1)

    def goes_on(self, at: float) -> None:
        """Other studies come."""
        for more in range(3):
            self.arrives(at + more, f"other{at}{more}")

    def asks(self, at: float, study: str, host: str = "ip:ws") -> None:
        event = self.make.ai(0, host, study=study)
        self._take(msgspec.structs.replace(event, timestamp=datetime.fromtimestamp(START + at, UTC)), 0)

    def _take(self, event: Event, base: int) -> None:
        for hit in self.rule.take(event, base):
            assert isinstance(hit.event, AiInference)
            assert hit.when == hit.event.timestamp
            self.told.append((hit.group[0][1], hit.when.timestamp() - START))

    def lives(self, days: int, first: int = 0) -> Site:
        """Four studies a day come, and each is asked about a little later."""
        for number in range(4 * first, 4 * (first + days)):
            self.arrives(number * DAY / 4, f"s{number}")
            self.asks(number * DAY / 4 + 300, f"s{number}")
        return self


@pytest.fixture
def site(make: Maker) -> Site:
    return Site(make).lives(8)


def test_what_never_came_is_told_with_its_own_event_and_time(site: Site) -> None:
    site.asks(8 * DAY, "ghost")
    assert site.told == []
    site.goes_on(8 * DAY + 700)
    assert site.told == [("ghost", 8 * DAY)]
    site.goes_on(9 * DAY)
    assert site.told == [("ghost", 8 * DAY)], "once"


def test_what_came_within_the_timespan_is_not(site: Site) -> None:
    for number in range(8, 32):
        site.asks(8 * DAY + number, f"s{number}")
    site.goes_on(9 * DAY)
    assert site.told == []


def test_what_came_before_the_timespan_is(site: Site) -> None:
    site.asks(8 * DAY + 1, "s3")
    site.goes_on(9 * DAY)
    assert [study for study, _ in site.told] == ["s3"]


def test_what_comes_late_is_waited_for(site: Site) -> None:
    """The archive's message comes after the question, by its own clock or by the line."""
    site.asks(8 * DAY, "late")
    site.asks(8 * DAY + 5, "slow")
    site.arrives(8 * DAY + 590, "late")
    site.arrives(8 * DAY - 60, "slow")
    site.goes_on(8 * DAY + 5000)
    assert site.told == []


def test_a_source_that_fell_silent_is_waited_for(site: Site) -> None:
    site.asks(8 * DAY, "ghost")
    for hour in range(48):
        site.asks(8 * DAY + hour * 3600, "s31")
    assert site.told == []
    site.goes_on(10 * DAY)
    assert [study for study, _ in site.told] == ["ghost"]


def test_nothing_is_told_before_the_watch_is_as_old_as_the_timespan(make: Maker) -> None:
    site = Site(make).lives(6)
    site.asks(6.5 * DAY, "before the watch?")
    site.goes_on(6.6 * DAY)
    assert site.told == []
    site.lives(2, first=7)
    site.asks(9 * DAY, "ghost")
    site.goes_on(9.1 * DAY)
    assert [study for study, _ in site.told] == ["ghost"]


def test_the_watch_begins_anew_after_a_long_gap(site: Site) -> None:
    site.lives(3, first=20)
    site.asks(23 * DAY, "came in the gap?")
    site.goes_on(23.1 * DAY)
    assert site.told == []


def test_nothing_is_told_where_the_two_do_not_meet(make: Maker) -> None:
    """Another hash, another partition, or an archive that is not connected."""
    site = Site(make)
    for number in range(60):
        site.arrives(number * DAY / 4, f"uid{number}")
        for client in range(3):
            site.asks(number * DAY / 4 + 300, f"hash{number}.{client}", host=f"ip:{client}")
    assert site.told == []


def test_any_of_several_keys_will_do(make: Maker) -> None:
    site = Site(make)
    for number in range(32):
        site.arrives(number * DAY / 4, f"uid{number}", f"hash{number}")
        site.asks(number * DAY / 4 + 300, f"hash{number}")
    site.asks(8 * DAY, "uid9")
    site.asks(8 * DAY, "hash9")
    site.arrives(9 * DAY, "uid99", "hash99")
    assert site.told == []


def test_a_flood_of_one_device_hides_nothing(site: Site) -> None:
    for number in range(3 * MAX_VERDICTS):
        site.asks(8 * DAY + number, f"ghost{number}", host="ip:thief")
    site.goes_on(8.5 * DAY)
    assert len(site.told) == 3 * MAX_VERDICTS
    site.asks(8.6 * DAY, "one more")
    site.goes_on(8.7 * DAY)
    assert site.told[-1][0] == "one more"


def test_verdicts_pass(site: Site) -> None:
    for number in range(MAX_VERDICTS + 50):
        site.asks(8 * DAY + number, f"s31 {number}", host=f"ip:{number}")
    site.goes_on(8.5 * DAY)
    met = site.told[:]
    site.lives(2 * MAX_VERDICTS // 4, first=9)
    last = (9 + 2 * MAX_VERDICTS // 4) * DAY
    site.asks(last, "ghost")
    site.goes_on(last + DAY)
    assert site.told[len(met) :] == [("ghost", last)]


@pytest.mark.parametrize("wrong", [400 * DAY, -400 * DAY])
def test_single_events_of_a_wrong_clock_decide_nothing(site: Site, wrong: float) -> None:
    site.asks(8 * DAY, "late")
    site.arrives(8 * DAY + wrong, "s7")
    site.asks(8 * DAY + wrong, "s8")
    site.arrives(8 * DAY + 20, "late")
    site.goes_on(8.1 * DAY)
    assert site.told == []
    for number in range(8, 32):
        site.asks(8.2 * DAY + number, f"s{number}")
    site.asks(8.3 * DAY, "ghost")
    site.goes_on(8.4 * DAY)
    assert [study for study, _ in site.told if study != "s8"] == ["ghost"]


def test_what_came_is_remembered_through_a_silence(site: Site) -> None:
    """What waits is judged before its like is forgotten."""
    site.arrives(8 * DAY, "slow")
    site.asks(8 * DAY - 10, "slower")
    site.arrives(8 * DAY + 1, "slower")
    site.lives(3, first=30)
    assert site.told == []


def test_an_empty_key_is_nothing(site: Site) -> None:
    entries = site.rule.entries
    site.asks(8 * DAY, "")
    site.arrives(8 * DAY, "")
    assert site.rule.entries == entries


class TestKept:
    def again(self, site: Site, make: Maker, state: CorrelationState) -> Site:
        twin = Site(make)
        assert twin.rule.resume(msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=type(state)))
        return twin

    def test_a_restart_changes_nothing(self, make: Maker) -> None:
        """Kept and read again after every event, it tells what it tells without."""
        plain, broken = Site(make).lives(8), Site(make).lives(8)
        for at, what, study in [
            (8.0, "asks", "ghost"), (8.001, "asks", "late"), (8.002, "arrives", "late"), (8.1, "arrives", "s40"),
            (8.2, "asks", "s40"), (8.21, "arrives", "s41"), (8.3, "asks", "ghost2"), (8.4, "arrives", "s42"),
            (8.41, "arrives", "s43"), (8.42, "arrives", "s44"), (8.43, "arrives", "s45"),
        ]:  # fmt: skip
            getattr(plain, what)(at * DAY, study)
            told = broken.told
            broken = self.again(broken, make, broken.rule.state())
            broken.told = told
            getattr(broken, what)(at * DAY, study)
        assert broken.told == plain.told == [("ghost", 8 * DAY), ("ghost2", pytest.approx(8.3 * DAY))]

    def test_a_fresh_start_tells_nothing(self, make: Maker) -> None:
        site = Site(make)
        site.asks(8 * DAY, "came before")
        site.lives(1, first=9)
        assert site.told == []

    def test_another_definition_begins_empty(self, site: Site, make: Maker) -> None:
        other = Site(make, replace(PLAN, timespan=DAY))
        assert not other.rule.resume(site.rule.state())
        other.rule.adopt(site.rule)
        assert len(other.rule) == 0

    def test_a_reload_goes_on(self, site: Site, make: Maker) -> None:
        site.asks(8 * DAY, "ghost")
        other = Site(make)
        other.rule.adopt(site.rule)
        other.goes_on(9 * DAY)
        assert [study for study, _ in other.told] == ["ghost"]

    def test_empty_has_seen_nothing(self, site: Site) -> None:
        twin = site.rule.empty()
        assert len(twin) == 0
        assert len(site.rule) > 0
        assert twin.latest() is None

    def test_a_broken_state_is_refused(self, site: Site) -> None:
        state = site.rule.state()
        other = {**msgspec.msgpack.decode(state.absence), "waiting": [encode(site.make.dns())]}
        for broken in ({}, {"begun": "x"}, {**msgspec.msgpack.decode(state.absence), "waiting": [b"{}"]}, other):
            state.absence = msgspec.Raw(msgspec.msgpack.encode(broken))
            with pytest.raises(ValueError):  # noqa: PT011 - of whichever part
                site.rule.resume(state)


class TestBounds:
    def test_waiting_is_bounded_and_what_goes_is_not_told(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "MAX_WAITING", 5)
        for number in range(8):
            site.asks(8 * DAY + number, f"ghost{number}")
        site.goes_on(9 * DAY)
        assert [study for study, _ in site.told] == [f"ghost{number}" for number in range(3, 8)]
        assert site.rule.forgotten.values == 3

    def test_too_small_a_memory_says_less_and_not_more(self, make: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "MAX_WITNESSED", 10)
        site = Site(make).lives(20)
        for number in range(60, 80):
            site.asks(20 * DAY, f"s{number}")
        site.goes_on(20.5 * DAY)
        assert site.told == []
        assert site.rule.forgotten.groups > 0

    def test_what_is_older_than_the_timespan_goes(self, site: Site) -> None:
        site.lives(30, first=8)
        assert site.rule.entries <= 4 * 8 + 1

    def test_the_same_question_waits_once(self, site: Site) -> None:
        for number in range(20):
            site.asks(8 * DAY + number, "ghost")
        site.goes_on(9 * DAY)
        assert site.told == [("ghost", 8 * DAY)]


def test_few_that_met_prove_nothing(make: Maker) -> None:
    site = Site(make)
    for number in range(LEAST_MET - 1):
        site.arrives(number * DAY, f"s{number}")
        site.asks(number * DAY + 300, f"s{number}")
    site.asks(LEAST_MET * DAY, "ghost")
    site.goes_on((LEAST_MET + 0.5) * DAY)
    assert site.told == []
    assert MOST_OF_ONE < LEAST_MET
