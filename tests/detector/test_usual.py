"""A device is held to its own habits, and the p-value of a benign minute is what it says."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from detector.calibration import P_FLOOR
from detector.features import CONNECTIONS, FINDS, SENT, WINDOW_FEATURES, window_matrix
from detector.usual import ENOUGH, P99, Usual

WIDTH = len(WINDOW_FEATURES)
RATES = {"ip:quiet": 0.3, "ip:ws1": 3.0, "ip:ws2": 8.0, "ip:ct": 20.0, "ip:pacs": 120.0, "ip:ai": 40.0}

Minutes = tuple[list[str], list[float], NDArray[np.float64]]


def benign(minutes: int, seed: int, start: int = 0, rates: dict[str, float] = RATES) -> Minutes:
    """Minutes of several devices, each with its own rates: counts Poisson, bytes lognormal, most features silent."""
    random = np.random.default_rng(seed)
    devices: list[str] = []
    times: list[float] = []
    rows: list[list[float]] = []
    for minute in range(minutes):
        for name, rate in rates.items():
            row = np.zeros(WIDTH)
            row[CONNECTIONS] = random.poisson(rate)
            row[FINDS] = random.poisson(rate / 10)
            row[SENT] = random.lognormal(np.log(1000 * rate), 0.7)
            devices.append(name)
            times.append(float(60 * (start + minute)))
            rows.append(row.tolist())
    return devices, times, window_matrix(rows)


@pytest.fixture(scope="module")
def usual() -> Usual:
    return Usual.fit(*benign(300, seed=1))


def minute(**values: float) -> NDArray[np.float64]:
    row = [0.0] * WIDTH
    for name, value in values.items():
        row[{"connections": CONNECTIONS, "finds": FINDS, "sent": SENT}[name]] = value
    made: NDArray[np.float64] = window_matrix([row])[0]
    return made


def test_a_usual_minute_is_usual(usual: Usual) -> None:
    p, shares = usual.judge("ip:ws1", minute(connections=3, sent=3000))
    assert p > 0.3
    assert shares.shape == (WIDTH,)


def test_a_far_minute_is_rare_and_its_feature_leads(usual: Usual) -> None:
    p, shares = usual.judge("ip:ws1", minute(connections=3, finds=200, sent=3000))
    assert p < 1e-4
    assert int(np.argmax(shares)) == FINDS
    assert shares[FINDS] > 0.9


def test_each_device_is_held_to_its_own_habits(usual: Usual) -> None:
    busy = minute(connections=125, finds=12, sent=125_000)
    assert usual.judge("ip:pacs", busy)[0] > 0.05
    assert usual.judge("ip:quiet", busy)[0] < 1e-4


def test_p_never_rises_with_the_value(usual: Usual) -> None:
    found = [usual.judge("ip:ws1", minute(connections=3, finds=count))[0] for count in (0, 1, 3, 10, 30, 100, 1000, 10**6)]
    assert found == sorted(found, reverse=True)
    assert found[-1] >= P_FLOOR


def test_silence_is_not_strange(usual: Usual) -> None:
    p, shares = usual.judge("ip:pacs", minute())
    assert p == 1.0
    assert not shares.any()


def test_shares_are_of_the_whole(usual: Usual) -> None:
    _, _, rows = benign(50, seed=9)
    for row in rows:
        _, shares = usual.judge("ip:ws2", row)
        assert (shares >= 0).all()
        assert shares.sum() == pytest.approx(1.0) or not shares.any()


def test_an_unknown_device_is_judged_by_the_site(usual: Usual) -> None:
    assert usual.judge("ip:stranger", minute(connections=10, finds=1, sent=10_000))[0] > 0.1
    assert usual.judge("ip:stranger", minute(connections=10, finds=5000, sent=10_000))[0] < 1e-3
    habits, own = usual.of("ip:stranger")
    assert not own
    assert habits.count == 300 * len(RATES)
    habits, own = usual.of("ip:ws1")
    assert own
    assert habits.count == 300
    assert len(usual) == len(RATES)


def test_a_device_rarely_seen_is_given_the_sites_variation() -> None:
    devices, times, rows = benign(100, seed=2)
    quiet = minute(connections=1, sent=10)
    some = [*devices, *["ip:rare"] * (ENOUGH - 1)], [*times, *np.linspace(0, 6000, ENOUGH - 1)]
    rare = Usual.fit(*some, np.vstack([rows, *[quiet] * (ENOUGH - 1)]))
    enough = [*devices, *["ip:rare"] * 60], [*times, *np.linspace(0, 6000, 60)]
    known = Usual.fit(*enough, np.vstack([rows, *[quiet] * 60]))
    asked = minute(connections=30, sent=10)
    assert rare.judge("ip:rare", asked)[0] > 10 * known.judge("ip:rare", asked)[0]


def test_a_feature_that_drifts_counts_in_larger_steps() -> None:
    """Five in a hundred minutes, all of one hour, that habits of the other hours would call strange."""
    devices, times, rows = benign(200, seed=3)
    rows[-len(rows) // 20 :, FINDS] = np.log1p(500)
    drifting = Usual.fit(devices, times, rows)
    steady = Usual.fit(*benign(200, seed=3))
    assert drifting.arrays()["spread"][FINDS] > 1.5
    assert steady.arrays()["spread"][FINDS] < 1.2
    assert drifting.judge("ip:ws1", minute(finds=60))[0] > 10 * steady.judge("ip:ws1", minute(finds=60))[0]


def test_fewer_than_forty_minutes_are_refused() -> None:
    devices, times, rows = benign(20, seed=1, rates={"a": 1.0, "b": 2.0})
    Usual.fit(devices, times, rows)
    with pytest.raises(ValueError, match="39 device-minutes are too few"):
        Usual.fit(devices[:39], times[:39], rows[:39])
    with pytest.raises(ValueError, match="0 device-minutes"):
        Usual.fit([], [], np.empty((0, WIDTH)))


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_p_of_fresh_benign_minutes_is_what_it_says(seed: int) -> None:
    """2,400 fresh minutes judged by 2,400 others.

    With the true 1 % point, n = 2,400 minutes at p ≤ 0.01 number 24 ± 4.9 (one binomial standard deviation). The point
    is itself an order statistic of 2,400 scores, with the same error again, so 24 ± 6.9; three of them each way, and as
    much for one in ten, is 4 to 45, or 0.15 % to 1.9 %.
    """
    usual = Usual.fit(*benign(400, seed=seed))
    devices, _, rows = benign(400, seed=seed + 100, start=400)
    p = np.array([usual.judge(device, row)[0] for device, row in zip(devices, rows, strict=True)])
    assert 4 <= int((p <= 0.01).sum()) <= 45
    assert 140 <= int((p <= 0.1).sum()) <= 340, "240 ± 3 · √2 · 14.7, rounded up for the devices' own errors"
    assert p.min() > 1e-6


def test_the_same_minutes_teach_the_same_whatever_their_order() -> None:
    devices, times, rows = benign(60, seed=4)
    one = Usual.fit(devices, times, rows).arrays()
    two = Usual.fit(devices, times, rows).arrays()
    assert all((one[name] == two[name]).all() for name in one)


def test_arrays_round_trip(usual: Usual) -> None:
    again = Usual.from_arrays(usual.arrays())
    _, _, rows = benign(20, seed=5)
    for device in (*RATES, "ip:stranger"):
        for row in rows:
            p, shares = usual.judge(device, row)
            p_again, shares_again = again.judge(device, row)
            assert p == p_again
            assert (shares == shares_again).all()
    assert again.of("ip:ws1")[0].grid[FINDS, P99] == usual.of("ip:ws1")[0].grid[FINDS, P99]


@pytest.mark.parametrize("name", ["devices", "grids", "counts", "site", "site_count", "spread"])
def test_a_missing_array_is_refused(usual: Usual, name: str) -> None:
    arrays = usual.arrays()
    del arrays[name]
    with pytest.raises(ValueError, match=name):
        Usual.from_arrays(arrays)


HOSTILE = {
    "fewer devices": lambda a: {"devices": a["devices"][:-1]},
    "devices are numbers": lambda a: {"devices": np.arange(len(a["devices"]))},
    "devices in two dimensions": lambda a: {"devices": a["devices"].reshape(2, 3)},
    "another number of features": lambda a: {"grids": a["grids"][:, :-1]},
    "another number of quantiles": lambda a: {"grids": a["grids"][:, :, :-1]},
    "grids are text": lambda a: {"grids": a["grids"].astype("U8")},
    "quantiles that fall": lambda a: {"grids": a["grids"][:, :, ::-1] - 1},
    "quantiles not finite": lambda a: {"grids": a["grids"] + np.inf},
    "nobody's minutes": lambda a: {"counts": a["counts"] * 0},
    "counts are floats": lambda a: {"counts": a["counts"].astype(float)},
    "counts in two dimensions": lambda a: {"counts": a["counts"].reshape(2, 3)},
    "the site of other features": lambda a: {"site": a["site"][:-1]},
    "the site in one dimension": lambda a: {"site": a["site"].ravel()},
    "the site falls": lambda a: {"site": a["site"][:, ::-1] - 1},
    "the site of nothing": lambda a: {"site_count": a["site_count"] * 0},
    "two counts of the site": lambda a: {"site_count": np.array([1, 2])},
    "spread of other features": lambda a: {"spread": a["spread"][:-1]},
    "spread below one": lambda a: {"spread": a["spread"] * 0.5},
    "spread is no number": lambda a: {"spread": a["spread"] * np.nan},
    "spread not finite": lambda a: {"spread": a["spread"] * np.inf},
    "spread of small floats": lambda a: {"spread": a["spread"].astype(np.float32)},
    "a tail that falls": lambda a: {"tail.holdout": a["tail.holdout"][::-1]},
    "an empty tail": lambda a: {"tail.holdout": a["tail.holdout"][:0]},
    "the same device twice": lambda a: {"devices": np.array([a["devices"][0]] * len(a["devices"]))},
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_hostile_arrays_are_refused(usual: Usual, change: object) -> None:
    assert callable(change)
    arrays = usual.arrays()
    with pytest.raises(ValueError, match=r"\w"):
        Usual.from_arrays(arrays | change(arrays))
