"""Counters start at nothing."""

from __future__ import annotations

import msgspec

from detector.counters import Counters


def test_everything_starts_at_0() -> None:
    counts = msgspec.structs.asdict(Counters())
    assert counts.pop("held") == {}
    assert set(counts.values()) == {0}
