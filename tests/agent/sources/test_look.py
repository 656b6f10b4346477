from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from agent.sources.look import MAX_DEPTH, PIECE, Hashing, Seen, Walk, join


def seen(path: Path) -> Seen:
    return Seen.of(path.lstat())


def digest(path: Path, there: Seen | None = None) -> str:
    hashing = Hashing(bytes(path.parent), bytes(path.name, "utf-8"), there or seen(path))
    while (count := hashing.step()) > 0:
        assert count <= PIECE
    hashing.close()
    return hashing.digest.hexdigest() if count == 0 else ""


def test_a_look_finds_files_and_links_and_follows_none(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "model.onnx").write_text("x")
    (tmp_path / os.fsdecode(b"\xff")).write_text("x")
    (tmp_path / "link").symlink_to("/etc")
    os.mkfifo(tmp_path / "fifo")
    walk = Walk(bytes(tmp_path))
    assert sorted(name for name, _ in walk) == [b"a/b/model.onnx", b"link", b"\xff"]
    assert walk.blind == 0


def test_a_folder_that_is_gone_is_empty_and_one_too_deep_is_not_looked_into(tmp_path: Path) -> None:
    assert list(Walk(bytes(tmp_path / "gone"))) == []
    deep = tmp_path.joinpath(*"d" * (MAX_DEPTH + 1))
    deep.mkdir(parents=True)
    (deep / "x").touch()
    walk = Walk(bytes(tmp_path))
    assert list(walk) == []
    assert walk.blind == 1


def test_a_digest(tmp_path: Path) -> None:
    path = tmp_path / "f"
    content = os.urandom(3 * PIECE + 5)
    path.write_bytes(content)
    assert digest(path) == hashlib.sha256(content).hexdigest()
    path.write_bytes(b"")
    assert digest(path) == hashlib.sha256(b"").hexdigest()


def test_a_link_is_where_it_points(tmp_path: Path) -> None:
    path = tmp_path / "l"
    path.symlink_to("model-1.onnx")
    assert digest(path) == hashlib.sha256(b"model-1.onnx").hexdigest()


def test_a_file_that_changes_while_it_is_read_has_none(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"one")
    there = seen(path)
    path.write_bytes(b"other")
    assert digest(path, there) == ""
    assert not there.unchanged(seen(path))


def test_a_file_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        Hashing(bytes(tmp_path), b"x", Seen(0, 0, 0, 0, "", ""))


def test_who_owns_it_and_who_can_write_it(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.touch()
    for mode, writable in ((0o644, "nobody"), (0o664, "group"), (0o666, "everybody")):
        path.chmod(mode)
        assert seen(path).writable == writable
    there = list(path.lstat())
    for uid, owner in ((0, "root"), (33, "service"), (1000, "person"), (65_534, "unknown")):
        there[4] = uid
        assert Seen.of(os.stat_result([*there, *[0] * 9])).owner == owner


def test_paths_are_joined() -> None:
    assert [join(b"", b"a"), join(b"a", b""), join(b"a", b"b")] == [b"a", b"a", b"a/b"]
