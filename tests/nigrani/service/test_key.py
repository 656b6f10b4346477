from __future__ import annotations

from pathlib import Path

import pytest

from nigrani.service.errors import Problem
from nigrani.service.key import Secret, site_key, state_folder


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "site.key"
    first = site_key(path)
    assert len(first.value) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert site_key(path).value == first.value == path.read_bytes()
    assert site_key(tmp_path / "other.key").value != first.value


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666, 0o610])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "site.key"
    site_key(path)
    path.chmod(mode)
    with pytest.raises(Problem, match="can be read by others; chmod 600"):
        site_key(path)


@pytest.mark.parametrize("length", [0, 31])
def test_a_short_key_is_refused(tmp_path: Path, length: int) -> None:
    path = tmp_path / "site.key"
    path.write_bytes(bytes(length))
    path.chmod(0o600)
    with pytest.raises(Problem, match=f"has {length} bytes and must have at least 32"):
        site_key(path)


def test_a_key_that_cannot_be_there(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="Is a directory"):
        site_key(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(Problem, match=r"site key .*site\.key: "):
        site_key(tmp_path / "file" / "site.key")


def test_a_secret_does_not_show_itself() -> None:
    secret = Secret(b"hush")
    assert "hush" not in f"{secret!r} {secret} {[secret]}"


def test_the_state_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("NIGRANI_STATE", "STATE_DIRECTORY", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert state_folder() == tmp_path / ".local/state/nigrani"
    monkeypatch.setenv("XDG_STATE_HOME", "/x")
    assert state_folder() == Path("/x/nigrani")
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/nigrani:/var/lib/other")
    assert state_folder() == Path("/var/lib/nigrani")
    monkeypatch.setenv("NIGRANI_STATE", "/here")
    assert state_folder() == Path("/here")
