"""How a service is told to read its configuration anew."""

from __future__ import annotations

import signal
from types import FrameType


class Hangup:
    """Set by SIGHUP, which ends nobody from here on."""

    def __init__(self) -> None:
        self._asked = False
        signal.signal(signal.SIGHUP, self)

    def __call__(self, _signal: int, _frame: FrameType | None) -> None:
        """Note the signal."""
        self._asked = True

    def taken(self) -> bool:
        """Whether it was asked for since the last call."""
        asked, self._asked = self._asked, False
        return asked
