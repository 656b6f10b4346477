"""nigrani case list."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from detector.cases.store import Store
from tests.detector.cases.made import finding
from tests.detector.commands.cases import make, nigrani


def test_a_table_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = make(tmp_path)
    assert nigrani(store, "list") == 0
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split() == ["case", "severity", "state", "last", "findings", "devices", "assignee", "title"]
    assert first.split()[:3] == ["2", "medium", "open"]
    assert second.endswith("Port scan")
    assert nigrani(store, "list", "--json", "--order", "urgent") == 0
    assert [json.loads(line)["number"] for line in capsys.readouterr().out.splitlines()] == [1, 2]


def test_filters_and_pages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = make(tmp_path)
    for words, numbers in (
        (["--severity", "high"], [1]),
        (["--kind", "tunnel"], [2]),
        (["--device", "ip:a"], [1]),
        (["--text", "TUNN"], [2]),
        (["--since", "2026-03-02T08:03"], [2]),
        (["--until", "2026-03-02T08:03"], [1]),
        (["--zone", "imaging", "--device-class", "pacs"], [2, 1]),
        (["--state", "closed"], []),
    ):
        assert nigrani(store, "list", "--json", *words) == (0 if numbers else 1)
        assert [json.loads(line)["number"] for line in capsys.readouterr().out.splitlines()] == numbers
    nigrani(store, "list", "--limit", "1")
    place = capsys.readouterr().out.split()[-1]
    assert nigrani(store, "list", "--limit", "1", "--after", place) == 0
    assert "Port scan" in capsys.readouterr().out
    assert nigrani(store, "list", "--after", "nowhere") == 2


def test_what_an_attacker_wrote_does_not_steer_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = make(tmp_path)
    store = Store(path)
    store.add([finding("evil\x1b[2J\nname", "ip:z\x1b]0;x", minutes=10)])
    store.assign(3, "asha", "ravi")
    store.close_store()
    for words in (["list"], ["show", "3"]):
        nigrani(path, *words)
        assert "\x1b" not in capsys.readouterr().out


def test_it_works_while_the_detector_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = make(tmp_path)
    store = Store(path)
    with store._database.write():
        assert nigrani(path, "list") == 0
    store.close_store()
    assert "Tunnel" in capsys.readouterr().out
