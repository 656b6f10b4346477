"""What a run costs, and what becomes of it."""

from __future__ import annotations

import sys
import time

import pytest

from bench.measure import Once, Row, Task, machine, run, take_turns

BUSY = "import time\nwhile time.process_time() < 0.2: pass"
CHILD = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BUSY!r}])"


@pytest.mark.parametrize("script", [BUSY, CHILD])
def test_cpu_of_the_process_and_its_children_counts(script: str) -> None:
    once = run([sys.executable, "-c", script])
    assert once.status == 0
    assert once.cpu >= 0.2


def test_output_status_and_environment_are_kept() -> None:
    script = "import os, sys; print(os.environ['SAY']); print('no', file=sys.stderr); sys.exit(3)"
    once = run([sys.executable, "-c", script], {"SAY": "yes"})
    assert (once.out, once.err, once.status) == ("yes\n", "no\n", 3)


def test_rows_take_turns_and_keep_the_median() -> None:
    tasks = [Task(name, [sys.executable, "-c", f"print({name!r})"], 10) for name in ("a", "b")]
    rows = take_turns(tasks, 2, time.monotonic() + 60)
    assert [len(row.cpu) for row in rows] == [2, 2]
    assert rows[0].rate == pytest.approx(10 / rows[0].seconds)


def once(status: int = 0, err: str = "") -> Once:
    return Once(0.5, 0.6, 1 << 20, status, "", err)


def test_wrong_counts_are_not_exact_and_stay_so() -> None:
    right = Task("x", [], 10, lambda _: {"flows": 2, "records": 7}, {"flows": 2, "packets": 9})
    wrong = Task("x", [], 10, lambda _: {"flows": 3}, {"flows": 2})
    row = Row("x", 10)
    for task, exact in ((right, True), (wrong, False), (right, False)):
        row.take(task, once())
        assert row.exact is exact


@pytest.mark.parametrize("counts", [{}, {"flows": 1}])
def test_a_run_that_fails_or_tells_nothing_gives_no_figure(counts: dict[str, int]) -> None:
    row = Row("x", 10)
    row.take(Task("x", [], 10, lambda _: counts, {"flows": 1}), once(1 if counts else 0, "first\nlast"))
    assert row.missing.endswith("last")
    assert row.rate == 0


def test_machine_is_told() -> None:
    assert {"cpu", "cores", "python"} <= machine().keys()
