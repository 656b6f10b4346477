"""`nigrani case report`."""

from __future__ import annotations

from pathlib import Path

import pytest

from detector.cases.store import Store
from nigrani import cli
from tests.detector.cases.made import finding


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NIGRANI_STATE", str(tmp_path))
    opened = Store(tmp_path / "cases.db")
    opened.add([finding("query_burst", "ip:8a50ca2c7fe6b84f", level="high")])
    opened.close_store()
    return tmp_path / "cases.db"


def history(path: Path) -> list[tuple[str, str]]:
    opened = Store(path)
    try:
        return [(entry.action, entry.text) for entry in opened.history(1)]
    finally:
        opened.close_store()


def test_markdown_on_standard_output(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["case", "report", "1", "--for", "cert-in", "--set", "organisation.name=City Hospital"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("# Incident report to CERT-In: case 1\n")
    assert "| Affected entity | City Hospital |" in out
    assert "☒ **(xx)" in out
    assert "draft for cert-in: " in err
    assert "fields to fill; due" in err
    assert history(store)[-1] == ("exported", "draft for cert-in, Markdown")


def test_pdf_into_a_new_file(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "r.pdf"
    words = ["case", "report", "1", "--for", "dpdp", "--pdf", "--out", str(out)]
    assert cli.main(words) == 0
    assert out.read_bytes().startswith(b"%PDF-")
    assert out.stat().st_mode & 0o077 == 0
    assert history(store)[-1] == ("exported", "draft for dpdp, PDF")
    assert cli.main(words) == 1
    assert "is there already, and a person may have worked on it" in capsys.readouterr().err


def test_no_such_case_or_store(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["case", "report", "9", "--for", "cert-in"]) == 1
    assert "there is no case 9" in capsys.readouterr().err
    assert cli.main(["case", "report", "1", "--for", "cert-in", "--store", str(tmp_path / "none")]) == 1
    assert "there is no case store" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
