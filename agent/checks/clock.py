"""Time: events of several hosts join by it."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Iterator
from functools import partial

from agent.check import Finding, Subject, Task

TIME_ERROR = 5
"""What adjtimex(2) returns for a clock that nobody keeps right."""
TIMEX = 208
"""Bytes of struct timex; modes, its first, being 0 asks and changes nothing."""
OFF = 1.0
"""Seconds by which the clock may be off."""


def tasks(subject: Subject, *, offline: bool) -> Iterator[Task]:
    """The kernel's word for it, and the time server's where one is named."""
    yield Task("clock", synchronised)
    if subject.config.clock.ntp and not offline:
        yield Task("time server", partial(compared, subject))


def synchronised() -> Iterator[Finding]:
    """Whether something keeps the clock right."""
    state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(struct.pack(f"{TIMEX}x"), TIMEX))
    if state < 0:
        return  # a sandbox that does not let us ask
    if state == TIME_ERROR:
        remedy = "run chrony or systemd-timesyncd: events of several hosts join by their time"
        yield Finding("warn", "clock", "nothing keeps this host's clock right, as far as the kernel knows", remedy)
    else:
        yield Finding("ok", "clock", "synchronised")


def compared(subject: Subject) -> Iterator[Finding]:
    """How far the clock is from the time server's."""
    from agent.ntp import ask  # noqa: PLC0415 - only where a server is named

    place, about = subject.place("clock.ntp"), "time server"
    try:
        answer = ask(*subject.config.clock.server)
    except (OSError, ValueError) as error:
        yield Finding("warn", about, f"{subject.config.clock.ntp}: {error}", "see clock.ntp, and the firewall (UDP)", place)
        return
    message = f"{subject.config.clock.ntp}: this host is {-answer.offset:+.3f} s off"
    if abs(answer.offset) >= OFF:
        yield Finding("warn", about, message, "set the clock, and keep it right", place)
    else:
        yield Finding("ok", about, message)
