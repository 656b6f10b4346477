"""Attempts are bounded, and so is what remembers them."""

from __future__ import annotations

import pytest

from detector.page.throttle import MAX_KEYS, Throttle, neighbourhood
from tests.detector.page.test_sessions import Now


def test_so_many_and_no_more_until_time_has_passed() -> None:
    now = Now()
    throttle = Throttle(3, 60, now)
    for _ in range(3):
        assert throttle.wait("a") == 0
        throttle.fail("a")
        now.time += 10
    assert throttle.wait("a") == 30
    assert throttle.wait("b") == 0
    now.time += 30
    assert throttle.wait("a") == 0


def test_success_is_forgotten() -> None:
    throttle = Throttle(1, 60, Now())
    throttle.fail("a")
    throttle.forget("a")
    assert throttle.wait("a") == 0


def test_the_table_is_bounded() -> None:
    throttle = Throttle(1, 60, Now())
    for number in range(MAX_KEYS + 10):
        throttle.fail(str(number))
    assert throttle.wait("0") == 0
    assert throttle.wait(str(MAX_KEYS)) > 0


@pytest.mark.parametrize(
    ("address", "counts_as"),
    [
        ("10.1.2.3", "10.1.2.3"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:10.1.2.3", "::ffff:10.1.2.3"),
        ("", ""),
    ],
)
def test_a_host_is_one_address_whatever_it_may_have(address: str, counts_as: str) -> None:
    assert neighbourhood(address) == counts_as
