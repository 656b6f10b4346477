from __future__ import annotations

import time

import pytest

from nigrani.service.progress import WIDTH, Progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_a_pipe_gets_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("replay") as bar:
        bar.show(1, 2)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_one_line_that_goes_away(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("replay", enabled=True) as bar:
        bar.show(1, 4, "12 MB/s")
        shown = capsys.readouterr()
        assert shown == ("", f"\r\x1b[2Kreplay {'█' * (WIDTH // 4)}{'·' * (WIDTH - WIDTH // 4)}  25% 12 MB/s")
    assert capsys.readouterr().err == "\r\x1b[2K"
    bar.clear()
    assert capsys.readouterr().err == ""


def test_it_is_drawn_at_most_ten_times_a_second(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    bar = Progress("x", enabled=True)
    for step in range(100):
        clock[0] = 100 + step / 100
        bar.show(step, 100)
    assert 9 <= capsys.readouterr().err.count("\r") <= 10


@pytest.mark.parametrize(("done", "total", "share"), [(0, 0, "100%"), (5, 4, "100%"), (0, 7, "  0%")])
def test_odd_totals(done: int, total: int, share: str, clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    Progress("x", enabled=True).show(done, total)
    assert share in capsys.readouterr().err
