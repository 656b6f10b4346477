"""Counters start at nothing."""

from __future__ import annotations

import msgspec

from detector.counters import Counters


def test_everything_starts_at_0() -> None:
    counts = msgspec.structs.asdict(Counters())
    assert counts.pop("held") == {}
    for name in ("p_values", "rule_seconds"):
        assert set(counts.pop(name).counts) == {0}
    assert set(counts.values()) == {0}
