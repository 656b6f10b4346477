"""Counters start at nothing."""

from __future__ import annotations

import msgspec

from detector.counters import Counters


def test_everything_starts_at_0() -> None:
    assert set(msgspec.structs.asdict(Counters()).values()) == {0}
