"""What the verbs of cases have in common."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from detector.commands.case import moment, who
from nigrani.cli import main
from tests.detector.commands.cases import make, nigrani


def test_times_are_days_moments_and_spans() -> None:
    assert moment("2026-11-22") == datetime(2026, 11, 22, tzinfo=UTC)
    assert moment("2026-11-22T10:00+05:30") == datetime(2026, 11, 22, 4, 30, tzinfo=UTC)
    assert abs(datetime.now(UTC) - moment("7d") - timedelta(days=7)) < timedelta(seconds=5)
    with pytest.raises(ValueError, match="soon"):
        moment("soon")


def test_whoever_is_at_the_terminal_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUDO_USER", raising=False)
    own = who()
    assert own.startswith("terminal:")
    monkeypatch.setenv("LOGNAME", "somebody-else")
    assert who() == own, "a name that anybody may give themselves"
    monkeypatch.setenv("SUDO_USER", "asha")
    monkeypatch.setattr(os, "getuid", lambda: 0)
    assert who() == "terminal:asha"
    monkeypatch.setattr(os, "getuid", lambda: 4_294_967_000)
    assert who() == "terminal:4294967000", "only sudo speaks as root"


def test_where_there_is_no_store_it_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert nigrani(tmp_path / "none.db", "list") == 1
    assert "name it with --store" in capsys.readouterr().err
    assert not (tmp_path / "none.db").exists(), "asking makes none"


def test_who_may_write_the_services_state_works_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    state, config, given = tmp_path / "state", tmp_path / "detector.yaml", tmp_path / "given"
    for folder in (state, given):
        folder.mkdir()
    (given / "page.key").touch()
    config.write_text("organisation: {name: City Hospital}\npage: {tls: {certificate: x, key: 'credential:page.key'}}\n")
    make(state)
    for name, path in (("STATE", state), ("CONFIG", config), ("GIVEN", given)):
        monkeypatch.setattr(f"detector.commands.case.{name}", path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "own"))
    for name in ("NIGRANI_STATE", "CREDENTIALS_DIRECTORY"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    assert main(["case", "list", "--store", str(tmp_path / "none.db")]) == 1
    assert "there is no case store" in capsys.readouterr().err
    assert "NIGRANI_STATE" not in os.environ, "whoever names a store means that one"
    assert main(["case", "list"]) == 0
    assert "Port scan" in capsys.readouterr().out
    for told in ("", str(state)):
        monkeypatch.setenv("NIGRANI_STATE", told)
        assert main(["case", "report", "1", "--for", "cert-in"]) == 0
        assert "City Hospital" in capsys.readouterr().out
    monkeypatch.setenv("NIGRANI_STATE", str(tmp_path / "own"))
    assert main(["case", "list"]) == 1
    assert str(tmp_path / "own") in capsys.readouterr().err


def test_a_case_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = make(tmp_path)
    for words in (
        ["show", "7"],
        ["ack", "7"],
        ["close", "7", "--verdict", "expected", "--text", "x"],
        ["export", "--case", "7"],
    ):
        assert nigrani(store, *words) == 1
        assert "there is no case 7" in capsys.readouterr().err
