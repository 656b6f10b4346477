from __future__ import annotations

import gzip
import hashlib
import os
from pathlib import Path

import pytest

from agent.sources import rotated as module
from agent.sources.rotated import Opened, rotated, with_inode


def put(path: Path, second: int = 1_000, content: bytes = b"x") -> Path:
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    os.utime(path, (second, second))
    return path


@pytest.mark.parametrize(
    "name",
    [
        "app.log.1",
        "app.log.12.gz",
        "app.log.3.xz",
        "app.log-20261122",
        "app.log-20261122.gz",
        "app.log-20261122-1790000000",
        "app.log-1790000000",
        "app.log.2026-11-22",
        "app.log.2026-11-22_10-00-00",
        "app.log.2026-11",
        "app-20261122.log",
        "app-2026-11-22T10.log.gz",
        "app.22-Nov.log.gz",
        "app-2026-11-22-1.log.gz",
    ],
)
def test_names_that_rotations_give(tmp_path: Path, name: str) -> None:
    path = put(tmp_path / name)
    assert [one.path for one in rotated(tmp_path / "app.log", 0)] == [path]


@pytest.mark.parametrize(
    "name",
    [
        "app.log",
        "app.log.bak",
        "app.log~",
        "app-2.log",
        "app.1.log",
        "app-errors.log",
        "app.log.old",
        "xapp.log.1",
    ],
)
def test_names_of_other_files(tmp_path: Path, name: str) -> None:
    put(tmp_path / name)
    assert rotated(tmp_path / "app.log", 0) == []


def test_the_oldest_comes_first_and_what_was_read_is_left_out(tmp_path: Path) -> None:
    for number, second in ((1, 400), (2, 300), (3, 200), (4, 100)):
        put(tmp_path / f"app.log.{number}", second)
    put(tmp_path / "app.log")
    (tmp_path / "app.log.5").mkdir()
    found = rotated(tmp_path / "app.log", 200 * module.SECOND + 1)
    assert [one.path.name for one in found] == ["app.log.2", "app.log.1"]


def test_where_times_are_the_same_the_higher_number_is_older(tmp_path: Path) -> None:
    for number in (1, 10, 2):
        put(tmp_path / f"app.log.{number}")
    assert [one.path.suffix for one in rotated(tmp_path / "app.log", 0)] == [".10", ".2", ".1"]


def test_of_a_file_and_its_packed_form_the_file_is_taken(tmp_path: Path) -> None:
    put(tmp_path / "app.log.1", 100)
    put(tmp_path / "app.log.1.gz", 200)
    assert [one.path.name for one in rotated(tmp_path / "app.log", 0)] == ["app.log.1"]


def test_the_time_of_a_packed_file_is_the_end_of_its_second(tmp_path: Path) -> None:
    path = put(tmp_path / "app.log.1.gz", 100)
    assert rotated(tmp_path / "app.log", 100 * module.SECOND + 5)[0].path == path
    assert rotated(tmp_path / "app.log", 101 * module.SECOND) == []


def test_a_link_leads_to_the_folder_of_what_it_links_to(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    old = put(other / "app.20261121.log", 100)
    new = put(other / "app.20261122.log", 200)
    (tmp_path / "app.20261122.log").symlink_to(new)
    assert {one.path for one in rotated(tmp_path / "app.20261122.log", 0)} <= {old}
    assert with_inode(tmp_path / "app.20261122.log", old.stat().st_ino) == old
    assert with_inode(tmp_path / "app.20261122.log", 1) is None


@pytest.mark.parametrize("name", ["a.log.1", "a.log.1.gz"])
def test_bytes_of_a_file_packed_or_not(tmp_path: Path, name: str) -> None:
    content = os.urandom(3 * module.PIECE)
    file = Opened(put(tmp_path / name, content=content))
    assert file.begin(10) == content[:10]
    assert file.begins(hashlib.sha256(content[:1024]).digest(), 1024)
    assert not file.begins(hashlib.sha256(b"").digest(), 5)
    assert file.reach(module.PIECE + 5)
    got = b""
    while data := file.read(100_000, module.PIECE + 5 + len(got)):
        got += data
    assert got == content[module.PIECE + 5 :]
    assert file.reach(0)
    assert content.startswith(file.read(7, 0))
    assert file.reach(10 * len(content))
    assert file.read(1, 10 * len(content)) == b""
    file.close()


def test_the_way_into_a_packed_file_is_gone_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SKIP", 1000)
    file = Opened(put(tmp_path / "a.log.1.gz", content=b"x" * 4500 + b"end"))
    assert [file.reach(4500) for _ in range(5)] == [False, False, False, False, True]
    assert file.read(9, 4500) == b"end"
    file.close()


def test_a_packed_file_is_read_up_to_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_UNPACKED", 10)
    file = Opened(put(tmp_path / "a.log.1.gz", content=b"x" * 100))
    assert (file.look()[0], file.read(99, 0), file.read(99, 10)) == (10, b"x" * 10, b"")
    file.close()


@pytest.mark.parametrize("damage", ["cut", "flip", "none"])
def test_a_damaged_packed_file_is_an_error(tmp_path: Path, damage: str) -> None:
    path = put(tmp_path / "a.log.1.gz", content=os.urandom(100_000))
    content = path.read_bytes()
    flipped = content[:5000] + b"\xff" * 5000 + content[10_000:]
    path.write_bytes({"cut": content[:-4000], "flip": flipped, "none": b"no"}[damage])
    file = Opened(path)
    with pytest.raises(OSError, match="cut short or damaged"):
        file.begin(200_000)
    file.close()


def test_what_is_no_plain_file_is_an_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a")
    with pytest.raises(OSError, match="no plain file"):
        Opened(tmp_path / "a")
