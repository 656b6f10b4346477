from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.checks.storage import folder, key, spool, tasks
from tests.agent.checks.subjects import levels, nobody, subject


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NIGRANI_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


def test_nothing_is_made(tmp_path: Path, state: Path) -> None:
    found = [finding for task in tasks(subject(tmp_path, "logs: {}")) for finding in task.work()]
    assert levels(found) == ["ok"] * 4
    assert all("made at the first run" in finding.message for finding in (found[0], found[1], found[3]))
    assert not state.exists()


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "bus").write_text("x")
    (found, *_) = spool(subject(tmp_path, f"bus:\n  path: {tmp_path}/bus/deep"))
    assert (found.level, found.place[-2:]) == ("fail", ":2")
    assert f"{tmp_path}/bus is no folder" in found.message


def test_a_disk_that_is_smaller_than_the_spool_may_grow(tmp_path: Path) -> None:
    *_, found = spool(subject(tmp_path, f"bus: {{max_bytes: {1 << 60}}}"))
    assert found.level == "warn"
    assert "lower bus.max_bytes" in found.remedy


@pytest.mark.skipif(os.geteuid() != 0, reason="asks for another user")
def test_another_users_rights_are_judged(tmp_path: Path) -> None:
    (found,) = folder("state", tmp_path / "state", subject(tmp_path, "logs: {}", nobody()))
    assert found.level == "fail"
    assert "by nobody" in found.message


def test_the_sites_key(tmp_path: Path) -> None:
    path = tmp_path / "site.key"
    text = f"privacy:\n  key: {path}\n"
    (found,) = key(subject(tmp_path, f"{text}kafka: {{servers: [k:1]}}"))
    assert (found.level, found.place[-2:]) == ("warn", ":2")
    assert "their tokens do not join" in found.remedy
    path.write_bytes(b"k" * 32)
    path.chmod(0o644)
    (found,) = key(subject(tmp_path, text))
    assert found.level == "fail"
    assert "can be read by others" in found.message
    path.chmod(0o600)
    assert levels(list(key(subject(tmp_path, text)))) == ["ok"]
    path.write_bytes(b"short")
    assert levels(list(key(subject(tmp_path, text)))) == ["fail"]
    assert path.read_bytes() == b"short"
