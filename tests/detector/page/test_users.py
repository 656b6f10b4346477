"""The users' file: what it takes, what it refuses, and what it gives away."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from detector.page.users import User, Users, matches, read, write
from nigrani.service.errors import BadConfig, Problem
from tests.detector.page.conftest import PASSWORD


def test_a_password_and_its_hash(hashed: str) -> None:
    assert PASSWORD not in hashed
    assert matches(hashed, PASSWORD)
    assert not matches(hashed, f"{PASSWORD} ")
    assert not matches(hashed, "x" * 5000)


def test_two_hashes_of_one_password_differ(hashed: str) -> None:
    from detector.page import users  # noqa: PLC0415 - its function has the fixture's name

    assert users.hashed(PASSWORD) != hashed


@pytest.mark.parametrize(
    "digest",
    ["", "plain", "scrypt$32768$8$1$AAAA$AAAA", "scrypt$3$8$1$c2FsdHNhbHQ=$" + "A" * 43 + "=", "md5$32768$8$1$c2FsdHNhbHQ=$"
     + "A" * 43 + "=", "scrypt$1073741824$8$1$c2FsdHNhbHQ=$" + "A" * 43 + "="],
)  # fmt: skip
def test_what_is_no_hash_matches_nothing(digest: str) -> None:
    assert not matches(digest, "")


def test_roles_reach_as_far_as_they_say() -> None:
    assert [User("a", role, "").may("respond") for role in ("view", "respond", "reveal")] == [False, True, True]


def test_written_and_read(tmp_path: Path, hashed: str) -> None:
    path = tmp_path / "new" / "users"
    write(path, {"asha": User("asha", "respond", hashed)})
    assert path.stat().st_mode & 0o777 == 0o600
    assert read(path) == {"asha": User("asha", "respond", hashed)}
    assert [one.name for one in path.parent.iterdir()] == ["users"]


def test_faults_name_their_lines(tmp_path: Path, hashed: str) -> None:
    path = tmp_path / "users"
    path.write_text(f"asha:respond:{hashed}\nasha:view:{hashed}\nB d:view:{hashed}\nravi:root:{hashed}\nmeena:view:secret\n")
    path.chmod(0o600)
    with pytest.raises(BadConfig) as raised:
        read(path)
    assert [(fault.line, fault.message) for fault in raised.value.faults] == [
        (2, "asha is there already"),
        (3, "no name of a user"),
        (4, "ravi: no role 'root', one of view, respond, reveal"),
        (5, "meena: no scrypt hash"),
    ]
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o660])
def test_a_file_that_others_read_is_refused(users_file: Path, mode: int) -> None:
    users_file.chmod(mode)
    with pytest.raises(Problem, match="chmod 600"):
        Users(users_file)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root writes for another user")
@pytest.mark.parametrize(("owner", "mode"), [(0, 0o640), (4711, 0o600)])
def test_what_root_writes_is_read_by_whom_the_folder_is_for(tmp_path: Path, hashed: str, owner: int, mode: int) -> None:
    os.chown(tmp_path, owner, 4711)
    path = tmp_path / "users"
    for _ in range(2):
        write(path, {"asha": User("asha", "view", hashed)})
        status = path.stat()
        assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (owner, 4711, mode)
    assert Users(path).get("asha") is not None
    path.chmod(0o600)
    write(path, {"ravi": User("ravi", "view", hashed)})
    assert path.stat().st_mode & 0o777 == 0o600, "as it was before"


def test_a_file_that_is_not_there_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="nigrani case user"):
        Users(tmp_path / "none")
    (tmp_path / "empty").touch(mode=0o600)
    with pytest.raises(BadConfig, match="nobody may log in"):
        Users(tmp_path / "empty")


def test_changes_are_seen_at_once(users_file: Path, hashed: str) -> None:
    users = Users(users_file)
    assert users.check("respond", PASSWORD) == User("respond", "respond", hashed)
    assert users.check("respond", "wrong") is None
    assert users.check("nobody", PASSWORD) is None
    write(users_file, {"respond": User("respond", "view", hashed)})
    changed = users.get("respond")
    assert changed is not None
    assert changed.role == "view"
    users_file.unlink()
    assert users.get("respond") is None


def test_a_file_that_broke_lets_nobody_in_and_says_so_once(
    users_file: Path, hashed: str, caplog: pytest.LogCaptureFixture
) -> None:
    found = Users(users_file)
    users_file.write_text(f"view:root:{hashed}\nhalf a line\n")
    assert found.get("view") is None
    assert found.get("view") is None
    (line,) = caplog.messages
    assert "nobody can log in" in line
    assert ":1:" in line
    assert ":2:" in line
    write(users_file, {"view": User("view", "view", hashed)})
    assert found.get("view") is not None
