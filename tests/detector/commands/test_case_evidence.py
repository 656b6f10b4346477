"""`nigrani case evidence`."""

from __future__ import annotations

from pathlib import Path

import pytest

from nigrani import cli
from tests.detector.commands.test_case_report import history, store

__all__ = ["store"]


def test_taken_and_verified(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events = tmp_path / "events.ndjson"
    events.write_bytes(b'{"event.id":"e1"}\n')
    for out in (tmp_path / "out", tmp_path / "out.zip"):
        words = ["case", "evidence", "1", "--out", str(out), "--events", str(events), "--capture", str(events)]
        assert cli.main(words) == 0
        assert "signed by the key" in capsys.readouterr().err
        assert history(store)[-1][1].startswith("evidence, signed by the key")
        assert cli.main(["case", "evidence", "--verify", str(out)]) == 0
        assert "files are as they were" in capsys.readouterr().err
        assert cli.main(words) == 1
        assert "never overwritten" in capsys.readouterr().err
    (tmp_path / "out" / "case.json").write_bytes(b"{}")
    (tmp_path / "out" / "more\x1b[31m").write_bytes(b"")
    assert cli.main(["case", "evidence", "--verify", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().out == "added: more [31m\nchanged: case.json\n"


def test_another_detectors_key(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out")
    (tmp_path / "none").write_bytes(b"")
    assert cli.main(["case", "evidence", "1", "--out", out, "--events", str(tmp_path / "none")]) == 0
    monkeypatch.setenv("NIGRANI_STATE", str(tmp_path / "elsewhere"))
    assert cli.main(["case", "evidence", "--verify", out]) == 1
    assert "no trusted key is configured" in capsys.readouterr().err
    assert cli.main(["case", "evidence", "--verify", out, "--trust", str(tmp_path / "baseline.pub")]) == 0


def test_a_bus_that_is_not_there_is_told(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["case", "evidence", "1", "--out", str(tmp_path / "out")]) == 0
    assert "0 events; 0 events that findings name are gone" in capsys.readouterr().err


def test_what_is_missing_on_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["case", "evidence", "1"]) == 2
    assert "name a case and --out, or a package with --verify" in capsys.readouterr().err
