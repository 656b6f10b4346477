"""What a detector has done, all its partitions together: for metrics and for the summary."""

from __future__ import annotations

from msgspec import Struct, field


class Counters(Struct):
    """Numbers that only grow."""

    events: int = 0
    flows_scored: int = 0
    windows_judged: int = 0
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
