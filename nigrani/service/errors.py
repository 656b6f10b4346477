"""What the command tells its user in one line and an exit code.

Problem (1) the input or the environment is at fault
├── Usage (2) the command line is
└── BadConfig (78) a configuration or rule file is; sysexits' EX_CONFIG, which systemd does not restart
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Fault(NamedTuple):
    """One fault of one file."""

    path: str
    line: int
    """From 1; 0 where the whole file is meant."""
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else self.path
        text = f"{place}: {self.message}" + (f" ({self.remedy})" if self.remedy else "")
        return "".join(letter if letter.isprintable() else "�" for letter in text)  # a key may hold any character


class Problem(Exception):  # noqa: N818 - told to a user, not raised at a caller
    """A one-line message and the exit code that goes with it."""

    code = 1


class Usage(Problem):
    """The command line cannot be carried out as it stands."""

    code = 2


class BadConfig(Problem):
    """A file that a person wrote is wrong; all its faults at once, one a line."""

    code = 78

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = list(faults)
