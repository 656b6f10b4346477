from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nigrani.service import log

LOGGER = logging.getLogger("nigrani.test")


@pytest.fixture(autouse=True)
def root() -> Iterator[None]:
    """Leave the process's log as it was."""
    before = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:], level = before
    logging.root.setLevel(level)


@pytest.fixture
def journal(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = os.fstat(2)
    monkeypatch.setenv("JOURNAL_STREAM", f"{mine.st_dev}:{mine.st_ino}")


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)


def test_a_line_has_time_and_level(terminal: None, capsys: pytest.CaptureFixture[str]) -> None:
    log.start()
    LOGGER.warning("disk of %s is full", "bus")
    LOGGER.info("not said")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert re.fullmatch(r"\d{4}-\d\d-\d\d [\d:,]+ WARNING disk of bus is full\n", shown.err)


def test_more_is_said_when_asked(terminal: None, capsys: pytest.CaptureFixture[str]) -> None:
    log.start(verbose=True)
    LOGGER.info("said")
    LOGGER.debug("not said")
    assert capsys.readouterr().err.endswith("INFO said\n")


def test_the_journal_is_told_the_priority(journal: None, capsys: pytest.CaptureFixture[str]) -> None:
    log.start(verbose=True)
    for level in (logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL):
        LOGGER.log(level, "x")
    assert capsys.readouterr().err == "<6>x\n<4>x\n<3>x\n<2>x\n"


def test_a_terminal_beneath_a_service_is_not_the_journal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "8:1234")
    log.start()
    LOGGER.warning("x")
    assert capsys.readouterr().err.endswith(" WARNING x\n")


def test_what_an_attacker_wrote_begins_no_line(journal: None, capsys: pytest.CaptureFixture[str]) -> None:
    log.start()
    LOGGER.warning("refused %s", "x\n<0>all is well\r\x1b[2K\u2028\x85\0y")
    assert capsys.readouterr().err == "<4>refused x <0>all is well  [2K   y\n"


@given(st.text())
def test_one_record_is_one_line(text: str) -> None:
    record = logging.LogRecord("x", logging.ERROR, "x.py", 1, "%s", (text,), None)
    line = log._Lines(for_journal=False).format(record)
    assert len(line.splitlines()) == 1
    assert line.isprintable()


def test_a_traceback_is_one_line_too(terminal: None, capsys: pytest.CaptureFixture[str]) -> None:
    log.start()
    try:
        int("one\ntwo")
    except ValueError:
        LOGGER.exception("failed")
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1
    assert "Traceback (most recent call last):" in shown


def test_starting_again_says_nothing_twice(journal: None, capsys: pytest.CaptureFixture[str]) -> None:
    log.start()
    log.start()
    LOGGER.warning("x")
    assert capsys.readouterr().err == "<4>x\n"
