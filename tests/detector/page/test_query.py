"""Addresses of lists: read, changed, and refused."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from detector.cases.case import Filter
from detector.page.query import read
from detector.page.times import time_zone

ZONE = time_zone("Asia/Kolkata")


def test_cases_begin_with_the_active_ones_urgent_first() -> None:
    asked = read("/cases", {}, ZONE, cases=True)
    assert asked.filter == Filter(state="active")
    assert asked.order == "urgent"
    assert asked.address() == "/cases"


def test_everything_is_in_the_address() -> None:
    query = {
        "q": " scan ", "state": "all", "severity": "high", "kind": "flood", "device": "ip:1", "class": "pacs",
        "zone": "core", "assignee": "asha", "verdict": "expected", "since": "2026-11-22T10:00",
        "until": "2026-11-23T00:00+00:00", "case": "7", "suppressed": "no", "nonsense": "x", "after": "5-6",
    }  # fmt: skip
    asked = read("/findings", query, ZONE, cases=False)
    assert asked.filter == Filter(
        text="scan", severity="high", kind="flood", device="ip:1", device_class="pacs", zone="core", assignee="asha",
        verdict="expected", since=datetime(2026, 11, 22, 4, 30, tzinfo=UTC), until=datetime(2026, 11, 23, tzinfo=UTC),
        case=7, suppressed=False,
    )  # fmt: skip
    assert asked.after == "5-6"
    assert "after" not in asked.address(kind="")
    assert "kind" not in asked.address(kind="")
    assert {chip.name for chip in asked.chips()} >= {"title has", "at least", "kind", "device class"}
    assert all(chip.value != "all" for chip in asked.chips())


def test_what_cases_do_not_have_is_left_out() -> None:
    assert read("/cases", {"case": "7", "suppressed": "yes"}, ZONE, cases=True).filter == Filter(state="active")


@pytest.mark.parametrize("query", [{"since": "yesterday"}, {"case": "seven"}, {"case": "-1"}, {"case": "9" * 30}])
def test_nonsense_is_told(query: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="is no"):
        read("/findings", query, ZONE, cases=False)
