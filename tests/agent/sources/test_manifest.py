from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.sources.manifest import MAX_BYTES, NAMES, Manifest, _lines

DIGEST = hashlib.sha256(b"x").digest()


def test_what_sha256sum_writes(tmp_path: Path) -> None:
    (tmp_path / "chest").mkdir()
    (tmp_path / "chest" / "model.onnx").write_bytes(b"x")
    (tmp_path / "a b").write_bytes(b"x")
    listed = subprocess.run(["sha256sum", "chest/model.onnx", "./a b"], cwd=tmp_path, capture_output=True, check=True).stdout
    (tmp_path / "SHA256SUMS").write_bytes(listed)
    manifest = Manifest(tmp_path)
    assert manifest.refresh()
    assert not manifest.refresh()
    assert manifest.listed == {b"chest/model.onnx": DIGEST, b"a b": DIGEST}
    assert [manifest.verdict(name, DIGEST) for name in (b"a b", b"c", b"SHA256SUMS")] == ["listed", "unlisted", ""]
    assert manifest.verdict(b"a b", b"other") == "differs"
    assert manifest.is_one(b"SHA256SUMS")
    assert not manifest.is_one(b"chest/SHA256SUMS")


def test_without_one_nothing_is_said(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path)
    assert not manifest.refresh()
    assert (manifest.there, manifest.verdict(b"a", DIGEST)) == (False, "")


def test_one_that_changes_or_goes_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "elsewhere.txt"
    path.write_text(f"{DIGEST.hex()} *a\r\n# no line\n")
    manifest = Manifest(tmp_path / "models", str(path))
    assert manifest.refresh()
    assert (manifest.listed, manifest.path) == ({b"a": DIGEST}, str(path))
    path.write_text("")
    os.utime(path, (1, 1))
    assert manifest.refresh()
    assert manifest.verdict(b"a", DIGEST) == "unlisted"
    path.unlink()
    assert manifest.refresh()
    assert not manifest.refresh()
    assert manifest.verdict(b"a", DIGEST) == ""


def test_one_too_large_lists_nothing(tmp_path: Path) -> None:
    with (tmp_path / NAMES[0]).open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    manifest = Manifest(tmp_path)
    assert manifest.refresh()
    assert (manifest.there, manifest.listed) == (True, {})


@given(st.binary(max_size=200) | st.text(alphabet="0123456789abcdef *\n./", max_size=300).map(str.encode))
def test_any_bytes_are_lines_or_none(content: bytes) -> None:
    assert all(len(bytes.fromhex(found[1].decode())) == 32 for found in _lines(content))


@pytest.mark.parametrize("name", NAMES)
def test_its_usual_names(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(f"{DIGEST.hex()}  a\n")
    manifest = Manifest(tmp_path)
    manifest.refresh()
    assert manifest.listed == {b"a": DIGEST}
