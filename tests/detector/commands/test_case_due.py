"""nigrani case due."""

from __future__ import annotations

from pathlib import Path

import pytest

from detector.cases.store import Store
from tests.detector.commands.cases import actions, make, nigrani


def test_a_report_was_sent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = make(tmp_path)
    assert nigrani(path, "due", "1", "--for", "cert-in", "--state", "sent", "--reference", "CERT-9") == 0
    assert capsys.readouterr().out == "#1: the report to cert-in is sent\n"
    assert actions(path, 1)[-1] == ("deadline", "cert-in: sent, CERT-9")


def test_a_case_that_had_none_to_make_gets_one(tmp_path: Path) -> None:
    path = make(tmp_path)
    assert nigrani(path, "due", "2", "--for", "dpdp", "--state", "due") == 0
    store = Store(path)
    case = store.case(2)
    store.close_store()
    assert case is not None
    assert [(one.authority, one.state) for one in case.deadlines] == [("dpdp", "due")]


def test_who_and_how_must_be_said(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        nigrani(make(tmp_path), "due", "1", "--for", "cert-in")
