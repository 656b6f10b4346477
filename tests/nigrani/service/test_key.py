from __future__ import annotations

from pathlib import Path

import pytest

from nigrani.service import key
from nigrani.service.errors import Problem
from nigrani.service.key import Secret, credential, site_key, state_folder


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


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A service's credentials, one of them the site's key."""
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "site.key").write_bytes(b"k" * 32)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    monkeypatch.setenv("NIGRANI_STATE", str(tmp_path / "state"))
    return folder


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where systemd takes credentials from, seen by no service."""
    folder = tmp_path / "credstore"
    folder.mkdir()
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.setattr(key, "STORE", folder)
    return folder


def test_a_credential_is_the_key_unless_another_is_named(given: Path, tmp_path: Path) -> None:
    assert site_key().value == b"k" * 32
    assert not (tmp_path / "state").exists()
    assert site_key(tmp_path / "own.key").value != b"k" * 32


def test_without_a_credential_the_key_is_in_the_state_folder(given: Path, tmp_path: Path) -> None:
    (given / "site.key").unlink()
    assert site_key().value == (tmp_path / "state/site.key").read_bytes()
    assert list(given.iterdir()) == []


def test_a_credentials_mode_is_systemds_business(given: Path) -> None:
    (given / "site.key").chmod(0o440)
    assert site_key(given / "site.key").value == b"k" * 32
    (given / "site.key").write_bytes(b"short")
    with pytest.raises(Problem, match="has 5 bytes"):
        site_key()
    with pytest.raises(Problem, match=r"other\.key: No such file"):
        site_key(given / "other.key")


def test_a_credential_is_found_by_its_name(given: Path) -> None:
    assert credential("site.key") == given / "site.key"
    with pytest.raises(ValueError, match=r"the service was given no credential kafka\.key: put it into /etc/credstore"):
        credential("kafka.key")


@pytest.mark.parametrize("name", ["", "../site.key", "/etc/passwd", ".", "..", "a/b"])
def test_what_names_no_credential(given: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"names no credential, such as credential:site\.key"):
        credential(name)


def test_outside_of_a_service_a_credential_is_where_systemd_takes_it_from(store: Path) -> None:
    for name in ("nigrani.site.key", "nigrani-agent.kafka.key", "nigrani-agent.old.kafka.key", "other.kafka.key"):
        (store / name).touch()
    assert credential("site.key") == store / "nigrani.site.key"
    assert credential("kafka.key") == store / "nigrani-agent.kafka.key"
    with pytest.raises(ValueError, match=r"one sees none; set CREDENTIALS_DIRECTORY"):
        credential("kafka.password")
    (store / "nigrani-detector.kafka.key").touch()
    with pytest.raises(ValueError, match=r"sees nigrani-agent\.kafka\.key and nigrani-detector\.kafka\.key; set"):
        credential("kafka.key")


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
