"""What a detector has done, all its partitions together: for metrics and for the summary."""

from __future__ import annotations

from msgspec import Struct, field

from detector.bins import Bins

P_BOUNDS = (1e-05, 0.0001, 0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
RULE_BOUNDS = (1e-05, 2.5e-05, 5e-05, 0.0001, 0.00025, 0.0005, 0.001, 0.005, 0.025)
"""Seconds."""


class Counters(Struct):
    """Numbers that only grow."""

    events: int = 0
    flows_scored: int = 0
    windows_judged: int = 0
    windows_beyond: int = 0
    windows_unknown: int = 0
    merged: int = 0
    repeated: int = 0
    retold: int = 0
    shed: int = 0
    forgotten: int = 0
    quiet_hits: int = 0
    late: int = 0
    ahead: int = 0
    unwatched: int = 0
    unwatched_agents: int = 0
    held: dict[tuple[str, str], int] = field(default_factory=dict)
    """(Rule's id, why) → matches that did not alert: see `gate`."""
    p_values: Bins = field(default_factory=lambda: Bins(P_BOUNDS))
    """Of device-minutes."""
    rule_seconds: Bins = field(default_factory=lambda: Bins(RULE_BOUNDS))
    """All rules over one event, of some events."""
