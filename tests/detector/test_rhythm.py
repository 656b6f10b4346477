"""What keeps a beat: callers with jitter, and not people, long transfers or a server's patience."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import msgspec
import pytest

from detector.correlation_kind import Item, Plan
from detector.rhythm import MAX_BEATS, NO_BEAT, BeatCount, beat, steady

if TYPE_CHECKING:
    from tests.detector.conftest import Maker

STEPS = 120


def window(limit: int = 10) -> BeatCount:
    return BeatCount(Plan("beat_count", (), 86_400, limit=limit), STEPS)


def fill(one: BeatCount, moments: list[float]) -> BeatCount:
    for moment in moments:
        one.add(int(moment) // 720, Item(1, (0.0, 0.0), 0, moment))
    return one


def called(number: int, jitter: float, period: float = 60.0, seed: int = 1) -> list[float]:
    chance = random.Random(seed)
    moments = [0.0]
    for _ in range(number):
        moments.append(moments[-1] + period * (1 + chance.uniform(-jitter, jitter)))
    return moments


@pytest.mark.parametrize("jitter", [0, 0.1, 0.25])
@pytest.mark.parametrize("seed", range(5))
def test_a_caller_keeps_its_beat_with_jitter(jitter: float, seed: int) -> None:
    assert fill(window(), called(24, jitter, seed=seed)).count(10) == 24


@pytest.mark.parametrize("burst", [8, 40])
def test_many_connections_a_beat_hide_none(burst: int) -> None:
    moments = [moment + 1.5 * part / burst for moment in called(40, 0.1) for part in range(burst)]
    assert fill(window(), moments).count(10) == 40
    random.Random(1).shuffle(moments)
    assert fill(window(), moments).count(10) == 40


@pytest.mark.parametrize("mean", [0.05, 0.3, 1.0, 2.0, 5.0])
def test_a_stream_of_calls_keeps_none(mean: float) -> None:
    """Else what is too close together to be told apart would leave even gaps, each a little over the least."""
    chance = random.Random(1)
    moments = [0.0]
    for _ in range(3000):
        moments.append(moments[-1] + chance.expovariate(1 / mean))
    one = window()
    found = []
    for moment in moments:
        fill(one, [moment])
        found.append(one.count(int(moment) // 720))
    assert max(found) < 24


@pytest.mark.parametrize("seed", range(20))
def test_independent_arrivals_keep_none(seed: int) -> None:
    chance = random.Random(seed)
    moments = [0.0]
    for _ in range(60):
        moments.append(moments[-1] + chance.expovariate(1 / 60))
    assert fill(window(), moments).count(10) == 0


def test_one_beat_of_ten_may_be_missed() -> None:
    moments = [moment for number, moment in enumerate(called(40, 0.05)) if number % 10 != 4]
    assert fill(window(), moments).count(10) == 32
    assert steady([60] * 7 + [120] * 3) == (0, 0.0)


def test_several_events_at_once_are_one_beat() -> None:
    moments = [moment + more for moment in called(20, 0.1) for more in (0, 0.5, 1.5)]
    assert fill(window(), moments).count(10) == 20


def test_too_few_are_not_judged() -> None:
    assert fill(window(20), called(19, 0)).count(10) == 0
    assert fill(window(20), called(20, 0)).count(10) == 20
    assert steady([]) == (0, 0.0)


def test_it_does_not_depend_on_the_order() -> None:
    moments = called(24, 0.1)
    shuffled = moments[::2] + moments[1::2]
    assert fill(window(), shuffled).count(10) == fill(window(), moments).count(10)


def test_what_has_passed_and_what_is_over_the_cap_goes() -> None:
    one = fill(window(), called(MAX_BEATS + 30, 0))
    assert len(one) == MAX_BEATS
    one.count(10)
    assert one.count(STEPS + 200) == 0
    assert len(one) == 0


def test_it_says_how_far_apart() -> None:
    one = fill(window(), called(24, 0))
    one.count(10)
    assert one.told() == "about 60 s apart"


def test_kept_state_goes_on() -> None:
    one = fill(window(), called(12, 0.1))
    one.add(0, Item(1, (30.0, 61.0), 0, 0.0))
    twin = window()
    twin.resume(msgspec.msgpack.decode(msgspec.msgpack.encode(one.state())))
    assert twin.count(10) == one.count(10) == 13
    assert twin.oldest() == one.oldest() == 0
    with pytest.raises(msgspec.ValidationError):
        twin.resume([[["x", 1]], []])


class TestBeat:
    def test_a_flow_beats_where_it_begins(self, make: Maker) -> None:
        assert beat(make.flow(duration=4_000_000_000, reason="closed")) == (4.0, 0.0)

    def test_other_events_beat_where_they_are(self, make: Maker) -> None:
        assert beat(make.dns()) == (0.0, 0.0)

    def test_pauses_within_a_long_flow(self, make: Maker) -> None:
        """Five pauses of 10 s among many short gaps weigh as one of 10 s."""
        even = [1000, 4_550_000, 10_100_000, 4_980_000]
        length, pause = beat(make.flow(duration=50_000_000_000, reason="active", source_gap=even))
        assert length == 50.0
        assert pause == pytest.approx(10.0, rel=0.01)

    def test_uneven_pauses_count_as_the_longest(self, make: Maker) -> None:
        uneven = [1000, 3_000_000, 30_000_000, 7_000_000]
        assert beat(make.flow(duration=50_000_000_000, reason="active", source_gap=uneven))[1] == 30.0

    def test_a_burst_of_a_long_flow_is_a_beat(self, make: Maker) -> None:
        assert beat(make.flow(duration=2_000_000_000, reason="active", part=3, source_gap=[1, 2, 3, 1])) == (2.0, 0.0)

    def test_a_long_transfer_has_none(self, make: Maker) -> None:
        assert beat(make.flow(duration=60_000_000_000, reason="active", part=3, source_gap=[1, 20, 900, 5])) == NO_BEAT

    def test_the_end_of_a_long_flow_has_none(self, make: Maker) -> None:
        """The pause before it is the server's patience, and its begin was the meter's."""
        gaps = [1, 15_000_000, 15_000_000, 0]
        assert beat(make.flow(duration=15_000_000_000, part=2, reason="closed", source_gap=gaps)) == NO_BEAT
        assert beat(make.flow(duration=1, part=2, reason="idle")) == NO_BEAT
        assert window().add(1, Item(1, NO_BEAT, 0, 1.0)) == 0
