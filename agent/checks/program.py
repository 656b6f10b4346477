"""The agent itself: who runs it, and whether its meter is compiled."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial

from agent.account import NET_RAW
from agent.check import Finding, Subject, Task


def tasks(subject: Subject) -> Iterator[Task]:
    """Two."""
    yield Task("user", partial(user, subject))
    yield Task("meter", meter)


def user(subject: Subject) -> Iterator[Finding]:
    """Who it will be, and whether that user may capture."""
    account = subject.account
    if account.unit is not None and account.uid == os.geteuid() != 0:
        yield Finding(
            "warn", "user", f"rights are judged for {account.name}", "run the check as root to judge for the unit's"
        )
    else:
        yield Finding("ok", "user", account.name + (", as its unit says" if account.unit is not None else ""))
    if not subject.config.interfaces:
        return
    if account.captures:
        yield Finding("ok", "capture", f"{NET_RAW} is given")
    else:
        remedy = f"start it by its unit, or: setpriv --ambient-caps=+net_raw --inh-caps=+net_raw; or as root ({NET_RAW})"
        yield Finding("fail", "capture", f"{account.name} lacks {NET_RAW}", remedy, subject.place("interfaces"))


def meter() -> Iterator[Finding]:
    """Which form of the meter is loaded."""
    from agent import meter as module  # noqa: PLC0415 - as heavy as the agent

    if str(module.__file__).endswith(".py"):
        forced = " (NIGRANI_PURE is set)" if os.environ.get("NIGRANI_PURE") else ""
        remedy = "install a wheel for this machine, or a C compiler and nigrani again"
        yield Finding("warn", "meter", f"runs interpreted{forced}, some fifteen times slower", remedy)
    else:
        yield Finding("ok", "meter", "compiled")
