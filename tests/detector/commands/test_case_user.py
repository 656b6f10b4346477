"""Who may log in, from the command line."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from detector.page.users import matches, read
from nigrani.cli import main

PASSWORD = "correct horse battery"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "page.users"


def user(path: Path, *words: str, given: str = f"{PASSWORD}\n", monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr("sys.stdin", io.StringIO(given))
    return main(["case", "user", *words, "--users", str(path)])


def test_made_changed_listed_and_removed(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert user(path, "asha", "--role", "respond", monkeypatch=monkeypatch) == 0
    assert user(path, "ravi", "--role", "view", monkeypatch=monkeypatch) == 0
    assert matches(read(path)["asha"].hash, PASSWORD)
    before = read(path)["asha"].hash
    assert user(path, "asha", given="another password\n", monkeypatch=monkeypatch) == 0
    assert read(path)["asha"].role == "respond"
    assert read(path)["asha"].hash != before
    assert user(path, "ravi", "--remove", monkeypatch=monkeypatch) == 0
    assert user(path, "ravi", "--remove", monkeypatch=monkeypatch) == 1
    capsys.readouterr()
    assert user(path, monkeypatch=monkeypatch) == 0
    assert capsys.readouterr().out == "asha  respond\n"
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("words", "given", "told"),
    [
        (["Asha", "--role", "view"], PASSWORD, "is no name"),
        (["asha"], PASSWORD, "--role"),
        (["asha", "--role", "view"], "short\n", "12 to 1024 characters"),
        (["asha", "--role", "view"], "x" * 2000, "12 to 1024 characters"),
    ],
)
def test_what_is_refused(
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    given: str,
    told: str,
) -> None:
    assert user(path, *words, given=given, monkeypatch=monkeypatch) == 2
    assert told in capsys.readouterr().err
    assert not path.exists()


def test_without_a_file_it_says_how_to_name_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["case", "user", "asha", "--role", "view"]) == 2
    assert "--users" in capsys.readouterr().err
