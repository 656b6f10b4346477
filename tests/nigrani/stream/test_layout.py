from __future__ import annotations

import errno
import json
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nigrani.stream import layout
from nigrani.stream.bus import BusError, Place
from nigrani.stream.layout import existing, group_file, groups, lock, prepare, read_place, write_place


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@contextmanager
def as_nobody() -> Iterator[None]:
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_spool_is_for_its_owner_only(tmp_path: Path) -> None:
    directory = prepare(tmp_path / "a" / "spool")
    assert mode(directory) == 0o700
    assert mode(directory / "spool.json") == 0o600
    directory.chmod(0o755)
    assert mode(prepare(directory)) == 0o700


def test_an_empty_directory_becomes_a_spool_and_stays_one(tmp_path: Path) -> None:
    (tmp_path / "lost+found").mkdir()
    assert prepare(tmp_path) == prepare(tmp_path) == existing(tmp_path)


def test_a_directory_with_other_files_is_refused_untouched(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "letter.txt").touch()
    with pytest.raises(BusError, match=r"holds other files, such as letter\.txt: give the spool a directory"):
        prepare(tmp_path)
    assert mode(tmp_path) == 0o755


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(BusError, match="is not a directory: remove the file"):
            prepare(path)


def test_a_directory_of_another_user_is_refused() -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o555)
        with as_nobody(), pytest.raises(BusError, match="cannot be written by user"):
            prepare(directory)
        directory.chmod(0o755)


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_version_is_refused(tmp_path: Path, version: object) -> None:
    (tmp_path / "spool.json").write_text(json.dumps({"format": layout.FORMAT, "version": version}))
    with pytest.raises(BusError, match="and this release reads 1: use the release that wrote it"):
        prepare(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": "other"}', "\x00" * 40])
def test_another_description_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "spool.json").write_text(text)
    with pytest.raises(BusError, match="does not describe a spool: restore it"):
        prepare(tmp_path)


def test_looking_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(BusError, match="holds no spool: check the path"):
        existing(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_one_lock_at_a_time(tmp_path: Path) -> None:
    first = lock(tmp_path)
    with pytest.raises(BusError, match="has a writer already: stop it"):
        lock(tmp_path)
    os.close(first)
    os.close(lock(tmp_path))


@pytest.mark.parametrize("name", ["", "Forwarder", "a/b", "../x", ".x", "a b", "x" * 64, "a\n"])
def test_what_is_no_name_of_a_group_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="no name of a group"):
        group_file(tmp_path, name)


def test_a_place_is_written_whole_and_read_back(tmp_path: Path) -> None:
    path = group_file(tmp_path, "forwarder")
    assert read_place(path) is None
    for place in (Place(1, 500), Place(2**64 - 1, 2**64 - 1, 3, 4)):
        write_place(path, place)
        assert read_place(path) == place
    assert mode(path) == 0o600
    assert os.listdir(tmp_path) == ["forwarder.offset"]  # noqa: PTH208 - the names are what counts
    assert list(groups(tmp_path)) == [("forwarder", place)]


def test_a_damaged_place_is_none_and_never_another(tmp_path: Path) -> None:
    path = group_file(tmp_path, "forwarder")
    write_place(path, Place(7, 42))
    sound = path.read_bytes()
    for bit in range(len(sound) * 8):
        changed = bytearray(sound)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        assert read_place(path) in {None, Place(7, 42)}  # a digit of the check in another case is none as well
    path.write_bytes(sound[:-5])
    assert list(groups(tmp_path)) == [("forwarder", None)]


def test_a_full_disk_does_not_keep_a_commit_from_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = group_file(tmp_path, "forwarder")
    write_place(path, Place(1, 10))
    real = os.open

    def no_new_file(name: Path, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_CREAT:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(name, flags, mode)

    monkeypatch.setattr(os, "open", no_new_file)
    write_place(path, Place(2, 20))
    assert read_place(path) == Place(2, 20)
    with pytest.raises(OSError, match="No space left"):
        write_place(group_file(tmp_path, "new"), Place(0, 0))
