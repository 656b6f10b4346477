"""Minutes by event time: which device's window an event counts in, and when a window is over.

Events come late: a flow's record leaves up to a minute after its last packet. A window is judged once the newest event is
`LATENESS` past its end; what comes later still is counted, and only the rules see it. One wrong clock moves the time neither
forth nor back for long: both ways it takes a row of events that agree.
"""

from __future__ import annotations

from collections.abc import Iterator

from detector.features import WINDOW, Window

LATENESS = 75
"""Seconds: a record's minute, and the meter's patience with a silent connection attempt."""
AHEAD = 3600
"""An event more than this many seconds ahead of all others is not believed …"""
BELIEVED = 20
"""… until so many in a row are."""
BEHIND = 200
"""So many late events in a row, and the time goes back to theirs: a clock was wrong, or a store of old events is read."""
MAX_DEVICES = 65_536
"""Devices of one minute; beyond it they are counted and not judged."""
LAST = 253_402_214_400
"""The end of 9999-12-30: nothing is believed that has no next day."""


class Windows:
    """The open windows."""

    def __init__(self) -> None:
        self.now = 0.0
        """The time reached, seconds since the epoch."""
        self.late = 0
        self.ahead = 0
        self.unwatched = 0
        self._row = 0
        self._late_row = 0
        self._open: dict[int, dict[str, Window]] = {}

    def at(self, device: str, when: float) -> Window | None:
        """The window of the device at that time; None where it is over, not believed, or there are too many devices."""
        if when > self.now:
            if when > LAST:
                self.ahead += 1
                return None
            if self.now and when > self.now + AHEAD and self._row < BELIEVED:
                self._row += 1
                self.ahead += 1
                return None
            self.now = when
        self._row = 0
        start = int(when) // WINDOW * WINDOW
        if start + WINDOW + LATENESS <= self.now:
            self._late_row += 1
            if self._late_row <= BEHIND:
                self.late += 1
                return None
            self.now = when
        self._late_row = 0
        minute = self._open.get(start)
        if minute is None:
            minute = self._open[start] = {}
        window = minute.get(device)
        if window is None:
            if len(minute) >= MAX_DEVICES:
                self.unwatched += 1
                return None
            window = minute[device] = Window(device, start)
        return window

    def due(self) -> bool:
        """Whether a window is over."""
        return bool(self._open) and min(self._open) + WINDOW + LATENESS <= self.now

    def close(self, *, everything: bool = False) -> Iterator[Window]:
        """The windows that are over, by time and then by device; all of them at the end of the input."""
        for start in sorted(self._open):
            if not everything and start + WINDOW + LATENESS > self.now:
                break
            minute = self._open.pop(start)
            for device in sorted(minute):
                yield minute[device]
