"""The status strip's words."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from detector.page.health import Health, lines


def fresh() -> Health:
    return Health(reached=datetime.fromtimestamp(time.time() - 3, UTC), knows=True)


def ill(**changes: object) -> dict[str, str]:
    return {line.name: line.text for line in lines(fresh()._replace(**changes)) if not line.well}


def test_all_is_well() -> None:
    assert ill() == {}


def test_what_is_wrong_comes_first() -> None:
    told = lines(fresh()._replace(behind=20_000))
    assert (told[0].name, told[0].text, told[0].well) == ("Events", "20,000 behind", False)


def test_each_trouble_has_its_words() -> None:
    assert ill(trouble="takes no alerts now") == {"Case store": "takes no alerts now"}
    assert ill(unread=5000) == {"Case store": "5,000 alerts behind"}
    assert ill(unread=3) == {}
    assert ill(reached=None) == {"Events": "none yet"}
    assert ill(reached=datetime(2026, 1, 1, tzinfo=UTC)) == {"Events": "quiet"}
    assert ill(learning=True, knows=False) == {"Baseline": "being learnt; rules alone alert"}
    assert ill(knows=False) == {"Baseline": "none; rules alone alert"}


def test_a_page_without_a_detector_complains_of_none() -> None:
    assert all(line.well for line in lines(Health(watching=False)))
