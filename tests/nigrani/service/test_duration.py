from __future__ import annotations

import pytest

from nigrani.service.duration import duration


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("5m", 300), ("12h", 43_200), ("7d", 604_800), ("2w", 1_209_600), (" 1.5h ", 5400)]
)
def test_what_people_write(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "7", "d", "7 d", "-1d", "7y", "0s", "1e3s", "1d2h", "inf"])
def test_what_is_no_length_of_time(text: str) -> None:
    with pytest.raises(ValueError, match="is no length of time: write a number and one of"):
        duration(text)


@pytest.mark.parametrize("text", ["36501d", "9" * 400 + "s"])
def test_what_no_calendar_has(text: str) -> None:
    with pytest.raises(ValueError, match="longer than a hundred years"):
        duration(text)
