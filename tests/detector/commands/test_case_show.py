"""nigrani case show."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from detector.cases.store import Store
from detector.commands.case_show import SHOWN, WIDTH
from tests.detector.cases.made import finding
from tests.detector.commands.cases import make, nigrani


def test_the_story_in_the_order_of_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = make(tmp_path)
    store = Store(path)
    store.add([finding("login", "ip:a", minutes=30)])
    store.assign(1, "asha", "ravi")
    store.deadline(1, "asha", "cert-in", "sent", "CERT-9")
    store.close(1, "ravi", "expected", "the yearly test " * 20)
    store.reopen(1, "asha", "another test")
    store.close(1, "ravi", "expected", "the same")
    store.close_store()
    assert nigrani(path, "show", "1") == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= WIDTH
    parts = [
        "#1  HIGH  closed, expected", "assigned  to ravi", "cert-in: sent, CERT-9", "\n2026-03-02\n",
        "08:00:00  HIGH Port scan", "ip:a → ip:b port 104", "08:30:00  MEDIUM Login", "opened by detector",
        "assigned by asha", "closed by ravi as expected: the yearly test", "reopened by asha: another test",
    ]  # fmt: skip
    places = [out.index(part) for part in parts]
    assert places == sorted(places)


def test_json_has_all_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert nigrani(make(tmp_path), "show", "1", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["case"]["number"] == 1
    assert told["findings"][0]["class_uid"] == 2004
    assert [entry["action"] for entry in told["history"]] == ["opened"]


def test_a_deadline_that_is_over_is_late(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nigrani(make(tmp_path), "show", "1")
    assert "LATE" in capsys.readouterr().out


def test_many_findings_are_not_all_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = make(tmp_path)
    store = Store(path)
    store.add([finding("port_scan", "ip:a", minutes=1 + number) for number in range(100)])
    store.close_store()
    nigrani(path, "show", "1")
    out = capsys.readouterr().out
    assert f"and {101 - SHOWN} findings more" in out
    assert "assigned  to nobody" in out
