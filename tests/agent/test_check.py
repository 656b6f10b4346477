"""Checks run side by side, in bounded time, and none hides another's findings."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

from agent.check import CONFIGURATION, Finding, Task, exit_code, findings, of_fault
from nigrani.service.errors import Fault


def test_all_in_their_order_though_one_stalls_and_one_breaks() -> None:
    over = threading.Event()

    def stalls() -> Iterator[Finding]:
        yield Finding("ok", "first", "fine")
        over.wait(60)

    def breaks() -> Iterator[Finding]:
        yield Finding("ok", "second", "fine")
        raise RuntimeError("oh")

    begin = time.monotonic()
    tasks = [Task("stalls", stalls), Task("breaks", breaks), Task("last", lambda: [Finding("warn", "last", "so so")])]
    found = list(findings(tasks, 0.3))
    assert time.monotonic() - begin < 5
    over.set()
    assert [(one.level, one.about) for one in found] == [
        ("ok", "first"),
        ("fail", "stalls"),
        ("ok", "second"),
        ("fail", "breaks"),
        ("warn", "last"),
    ]
    assert "no answer within 0.3 s" in found[1].message
    assert "oh" in found[3].message


def test_the_exit_code_is_the_worst() -> None:
    wrong = of_fault(Fault("agent.yaml", 7, "no", "yes"))
    assert (wrong.place, wrong.code) == ("agent.yaml:7", CONFIGURATION)
    assert of_fault(Fault("agent.yaml", 0, "no")).place == "agent.yaml"
    assert exit_code([]) == 0
    assert exit_code([Finding("warn", "x", "y")]) == 0
    assert exit_code([Finding("fail", "x", "y")]) == 1
    assert exit_code([wrong, Finding("fail", "x", "y")]) == 78
