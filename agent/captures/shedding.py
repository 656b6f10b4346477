"""When a capture that cannot keep up leaves packets out, and which: a policy that is said, instead of blind drops.

The filter then lets through only one in 4, 16, 64 or 256 of the TCP segments that neither open, end nor push anything: those
that long flows are made of. Openings, endings, the last segment of each message and everything that is not TCP stay. Byte
and packet counts of flows are lower bounds as long as it lasts.
"""

from __future__ import annotations

STEP = 4
MOST = 256
HIGH = 0.5
"""Share of the ring that is full at which it is tightened."""
LOW = 0.125
"""Share of the ring below which it is calm."""
SUSTAINED = 0.25
"""Seconds that it must be so full whenever it is read: a host that stood still for a moment is no overload."""
TIGHTEN_AFTER = 1.0
"""Seconds that a step gets to show its effect."""
LOOSEN_AFTER = 10.0
"""Seconds of calm before a step back."""


class Shedding:
    """One interface's state."""

    def __init__(self) -> None:
        self.one_in = 1
        """Of those segments one in so many is kept; 1: all."""
        self.changes = 0
        self._changed = float("-inf")
        self._full_since = self._calm_since = float("inf")

    def judge(self, fill: float, now: float) -> bool:
        """Learn how full the ring is; whether `one_in` has changed by it. now: seconds of a clock that never goes back."""
        self._full_since = min(self._full_since, now) if fill >= HIGH else float("inf")
        self._calm_since = min(self._calm_since, now) if fill <= LOW else float("inf")
        since = now - self._changed
        if now - self._full_since >= SUSTAINED and self.one_in < MOST and since >= TIGHTEN_AFTER:
            return self._change(self.one_in * STEP, now)
        if self.one_in > 1 and min(now - self._calm_since, since) >= LOOSEN_AFTER:
            return self._change(self.one_in // STEP, now)
        return False

    def _change(self, one_in: int, now: float) -> bool:
        self.one_in = one_in
        self.changes += 1
        self._changed = now
        return True
