"""What belongs together, and what does not."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest

from detector.cases import grouping as module
from detector.cases.grouping import HOUR, MINUTE, Choice, Grouping, Sign


class Cases:
    """Cases as a store would make them of choices."""

    def __init__(self) -> None:
        self.closed: set[int] = set()
        self.grouping = Grouping(self.closed.__contains__)
        self.count = 0
        self.again: dict[int, int] = {}
        self.log: list[tuple[Sign, int]] = []

    def add(self, kind: str, device: str, minutes: float = 0, peer: str = "") -> int:
        """Returns its case."""
        sign = Sign(kind, device, peer, int(minutes * MINUTE))
        choice = self.grouping.choose(sign)
        case = choice.case
        if not case:
            self.count += 1
            case = self.count
            if choice.again:
                self.again[case] = choice.again
        for other in choice.merge:
            self.closed.add(other)
            self.grouping.merged(other, case)
            self.log = [(one, case if number == other else number) for one, number in self.log]
        self.grouping.note(sign, case, choice.again)
        self.log.append((sign, case))
        return case

    def restart(self) -> None:
        """Know no more than the store does."""
        self.grouping = Grouping(self.closed.__contains__)
        again = dict(self.again)
        for sign, case in self.log:
            self.grouping.note(sign, case, again.pop(case, 0))


def test_one_device_is_one_case_for_half_a_day() -> None:
    cases = Cases()
    assert [cases.add("scan", "a"), cases.add("login", "a", 60), cases.add("copy", "a", 60 + 11 * 60)] == [1, 1, 1]
    assert cases.add("dns", "a", 60 + 24 * 60) == 2


def test_the_same_on_the_same_device_is_one_case_for_a_week() -> None:
    cases = Cases()
    day = 24 * 60
    assert [cases.add("scan", "a"), cases.add("scan", "a", 3 * day), cases.add("scan", "a", 9 * day)] == [1, 1, 1]
    assert cases.add("scan", "a", 17 * day) == 2


def test_two_devices_are_two_cases() -> None:
    cases = Cases()
    assert [cases.add("scan", "a"), cases.add("scan", "b", 1)] == [1, 2]


def test_the_third_device_makes_an_outbreak() -> None:
    cases = Cases()
    assert [cases.add("scan", name, at) for at, name in enumerate("abcd")] == [1, 2, 1, 1]
    assert cases.closed == {2}
    assert cases.add("scan", "b", 5) == 1, "what was merged is followed"
    assert cases.add("login", "b", 6) == 1, "and takes the other kinds of its devices"


def test_a_kind_that_comes_to_three_devices_of_an_outbreak_spreads_too() -> None:
    cases = Cases()
    for at, name in enumerate("abc"):
        cases.add("scan", name, at)
    assert {cases.add("login", name, 10 + at) for at, name in enumerate("abc")} == {1}
    assert cases.add("login", "z", 20) == 1


def test_an_outbreak_ends_when_nothing_comes() -> None:
    cases = Cases()
    for at, name in enumerate("abc"):
        cases.add("scan", name, at)
    assert cases.add("scan", "d", 90) == 1
    assert cases.add("scan", "e", 90 + 121) == 3


def test_the_same_on_three_devices_over_a_day_is_no_outbreak() -> None:
    cases = Cases()
    assert [cases.add("scan", name, at * 60) for at, name in enumerate("abc")] == [1, 2, 3]


def test_an_old_case_does_not_take_an_outbreak() -> None:
    cases = Cases()
    assert cases.add("dns", "a") == 1
    assert [cases.add("scan", name, 300 + at) for at, name in enumerate("abc")] == [1, 2, 2]
    assert cases.add("scan", "d", 310) == 2


def test_what_was_attacked_and_now_attacks_belongs_to_the_case() -> None:
    cases = Cases()
    assert cases.add("exploit", "a", 0, peer="b") == 1
    assert cases.add("login", "b", 100, peer="c") == 1
    assert cases.add("login", "c", 350) == 2, "that was too long ago"


def test_a_server_that_everybody_uses_links_nobody() -> None:
    cases = Cases()
    assert cases.add("exploit", "a", 0, peer="server") == 1
    assert cases.add("flood", "b", 1, peer="server") == 2
    assert cases.add("reboot", "server", 2) == 3


def test_a_closed_case_goes_on_in_a_new_one_that_says_so() -> None:
    cases = Cases()
    cases.add("scan", "a")
    cases.closed.add(1)
    assert cases.add("scan", "a", 10) == 2
    assert cases.again == {2: 1}
    assert cases.add("login", "a", 20) == 2


def test_a_closed_outbreak_goes_on_in_one_case() -> None:
    cases = Cases()
    for at in range(50):
        cases.add("scan", f"device {at}", at / 10)
    open_before = cases.count
    cases.closed.add(1)
    assert {cases.add("scan", f"device {at}", 10 + at / 10) for at in range(80)} == {open_before + 1}
    assert cases.again == {open_before + 1: 1}


def test_a_case_that_was_reopened_is_used_again() -> None:
    cases = Cases()
    cases.add("scan", "a")
    cases.closed.add(1)
    cases.add("scan", "b", 1)
    cases.closed.discard(1)
    assert cases.add("scan", "a", 2) == 1


def test_findings_of_no_device_are_told_apart_by_kind() -> None:
    cases = Cases()
    assert [cases.add("one", ""), cases.add("two", "", 1), cases.add("one", "", 2)] == [1, 2, 1]


def worm(count: int, devices: int, seed: int = 1) -> Iterable[tuple[str, str, float, str]]:
    """Kind, device, minute and peer."""
    chance = random.Random(seed)
    for number in range(count):
        reached = max(1, round(devices * (number / count) ** 0.5))
        kind = chance.choices(("sweep", "login", "copy", "service", "beacon"), (9, 5, 3, 2, 1))[0]
        yield kind, f"d{chance.randrange(reached)}", 360 * number / count, f"d{chance.randrange(devices)}"


@pytest.mark.parametrize("seed", range(3))
def test_a_storm_is_few_cases(seed: int) -> None:
    cases = Cases()
    for one in worm(20_000, 500, seed):
        cases.add(*one)
    assert cases.count <= 20
    assert cases.count - len(cases.closed) <= 3


def test_what_has_nothing_to_do_with_each_other_is_not_thrown_together() -> None:
    chance = random.Random(5)
    cases = Cases()
    made: dict[int, set[str]] = {}
    for number in range(2000):  # a noisy month
        device = f"d{chance.randrange(500)}"
        made.setdefault(cases.add(f"kind {chance.randrange(100)}", device, number * 20), set()).add(device)
    assert max(map(len, made.values())) == 1
    assert cases.count > 1500


@pytest.mark.parametrize("at", [1, 7, 100, 700])
def test_a_restart_changes_nothing(at: int) -> None:
    straight, broken = Cases(), Cases()
    for number, one in enumerate(worm(1500, 60)):
        if number == at:
            broken.restart()
        assert straight.add(*one) == broken.add(*one), number


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MAX_DEVICES", "MAX_CASES", "MAX_KINDS"):
        monkeypatch.setattr(module, name, 10)
    cases = Cases()
    for number in range(200):
        cases.add(f"kind {number}", f"device {number}", number * 10, peer=f"peer {number}")
    assert cases.grouping.forgotten > 500
    assert cases.add("kind 199", "device 199", 2000) == 200


def test_two_closed_cases_never_lead_to_each_other() -> None:
    closed = {1, 2}
    grouping = Grouping(closed.__contains__)
    grouping.note(Sign("a", "x", "", 0), 1)
    grouping.note(Sign("a", "x", "", 1), 2, again=1)
    grouping.merged(2, 1)
    assert grouping.choose(Sign("a", "x", "", 2)) == Choice(again=1, why="the same device")


def test_time_that_goes_back_is_borne() -> None:
    cases = Cases()
    assert [cases.add("scan", "a", 600), cases.add("login", "a", 0), cases.add("copy", "a", 601)] == [1, 1, 1]
    assert HOUR == 60 * MINUTE
