"""nigrani case suppress."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.detector.commands.cases import actions, make, nigrani


def test_begin_list_and_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = make(tmp_path)
    assert nigrani(store, "suppress", "--kind", "port_scan", "--for", "7d", "--text", "a drill", "--case", "1") == 0
    assert capsys.readouterr().out.startswith("suppression 1: until 20")
    assert actions(store, 1)[-1][0] == "suppressed"
    assert nigrani(store, "suppress") == 0
    assert "all" in capsys.readouterr().out.splitlines()[1].split()
    assert nigrani(store, "suppress", "--json") == 0
    assert json.loads(capsys.readouterr().out)["kind"] == "port_scan"
    assert nigrani(store, "suppress", "--end", "1") == 0
    assert nigrani(store, "suppress", "--end", "1") == 1
    capsys.readouterr()
    assert nigrani(store, "suppress") == 0
    assert capsys.readouterr().out == ""


def test_none_without_an_end_and_a_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = make(tmp_path)
    assert nigrani(store, "suppress", "--kind", "port_scan", "--text", "x") == 2
    assert "--for says how long" in capsys.readouterr().err
    assert nigrani(store, "suppress", "--kind", "port_scan", "--for", "1h") == 2
    assert nigrani(store, "suppress", "--kind", "port_scan", "--for", "1h", "--text", "x", "--case", "9") == 1
    capsys.readouterr()
    assert nigrani(store, "suppress", "--kind", "port_scan", "--for", "91d", "--text", "x") == 2
    assert "within 90 days" in capsys.readouterr().err


def test_a_kind_that_was_never_seen_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = make(tmp_path)
    assert nigrani(store, "suppress", "--kind", "port_scan", "--for", "1h", "--text", "x") == 0
    assert capsys.readouterr().err == ""
    assert nigrani(store, "suppress", "--kind", "port-scan", "--for", "1h", "--text", "x") == 0
    assert "there is no finding of kind port-scan yet" in capsys.readouterr().err
