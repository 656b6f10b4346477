"""How a service is told to end."""

from __future__ import annotations

import signal
from types import FrameType


class Stop:
    """Set by SIGINT and SIGTERM."""

    def __init__(self) -> None:
        self.asked = False
        signal.signal(signal.SIGINT, self)
        signal.signal(signal.SIGTERM, self)

    def __call__(self, _signal: int, _frame: FrameType | None) -> None:
        """Note the signal."""
        self.asked = True
