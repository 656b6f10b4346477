"""A sealed folder: what was changed is found out."""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from detector.reports.seal import MANIFEST, PUBLIC, SIGNATURE, SUMS, check, packed, put, seal
from detector.signing import Signer, Verifier, signing_key
from tests.detector.reports.made import WHEN


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return signing_key(tmp_path / "state")


@pytest.fixture
def trusted(tmp_path: Path, signer: Signer) -> Verifier:
    return Verifier([tmp_path / "state" / "baseline.pub"])


@pytest.fixture
def folder(tmp_path: Path, signer: Signer) -> Path:
    path = tmp_path / "case-17"
    (path / "rules").mkdir(parents=True)
    put(path / "findings.ndjson", b"{}\n")
    put(path / "rules" / "001-x.yml", b"title: x\n")
    put(path / "empty.json", b"")
    seal(path, 17, WHEN, signer)
    return path


def test_whole(folder: Path, trusted: Verifier, signer: Signer) -> None:
    found = check(folder, trusted)
    assert found.faults == []
    assert found.manifest is not None
    assert (found.manifest.case, found.manifest.key_id, found.files) == (17, signer.key_id, 5)
    assert set(found.manifest.files) == {"findings.ndjson", "rules/001-x.yml", "empty.json", PUBLIC, SUMS}
    assert found.manifest.files["findings.ndjson"].sha256 == hashlib.sha256(b"{}\n").hexdigest()
    assert (folder / MANIFEST).stat().st_mode & 0o077 == 0


def append(name: str) -> Callable[[Path], None]:
    def act(folder: Path) -> None:
        with (folder / name).open("ab") as file:
            file.write(b" ")

    return act


def link(folder: Path) -> None:
    (folder / "findings.ndjson").unlink()
    (folder / "findings.ndjson").symlink_to("rules/001-x.yml")


@pytest.mark.parametrize(
    ("act", "faults"),
    [
        (append("findings.ndjson"), ["changed: findings.ndjson"]),
        (append("empty.json"), ["changed: empty.json"]),
        (append(SUMS), [f"changed: {SUMS}"]),
        (append(MANIFEST), [f"changed: {MANIFEST}, or its signature"]),
        (append(SIGNATURE), [f"changed: {MANIFEST}, or its signature"]),
        (lambda folder: (folder / "rules" / "001-x.yml").unlink(), ["missing: rules/001-x.yml"]),
        (lambda folder: (folder / "rules" / "more").write_bytes(b""), ["added: rules/more"]),
        (lambda folder: (folder / MANIFEST).unlink(), [f"missing: {MANIFEST}; nothing can be said of the rest"]),
        (lambda folder: (folder / SIGNATURE).unlink(), [f"missing: {SIGNATURE}; nothing can be said of the rest"]),
        (
            lambda folder: (folder / MANIFEST).write_bytes(b"{}"),
            [f"changed: {MANIFEST} is no manifest of nigrani-evidence/1"],
        ),
        (link, ["added: findings.ndjson@", "missing: findings.ndjson"]),
        (lambda folder: (folder / "there").symlink_to("/etc"), ["added: there@"]),
    ],
)
def test_each_change_is_told(folder: Path, trusted: Verifier, act: Callable[[Path], object], faults: list[str]) -> None:
    act(folder)
    assert check(folder, trusted).faults == faults


def test_a_key_that_is_not_trusted(folder: Path, tmp_path: Path) -> None:
    signing_key(tmp_path / "other")
    [fault] = check(folder, Verifier([tmp_path / "other" / "baseline.pub"])).faults
    assert "which is not trusted here" in fault


def test_whoever_seals_anew_with_another_key_is_found_out(folder: Path, tmp_path: Path, trusted: Verifier) -> None:
    for name in (MANIFEST, SIGNATURE, PUBLIC, SUMS):
        (folder / name).unlink()
    (folder / "findings.ndjson").write_bytes(b"forged\n")
    forger = signing_key(tmp_path / "forger")
    forged = seal(folder, 17, WHEN, forger)
    assert "not trusted" in check(folder, trusted).faults[0]
    content = (folder / MANIFEST).read_bytes().replace(forged.key_id.encode(), trusted_id(tmp_path).encode())
    (folder / MANIFEST).write_bytes(content)
    (folder / SIGNATURE).write_bytes(forger.sign(content))
    assert check(folder, trusted).faults == [f"changed: {MANIFEST}, or its signature"]


def trusted_id(tmp_path: Path) -> str:
    return signing_key(tmp_path / "state").key_id


def test_a_zip_is_the_same_bytes_and_checked_where_it_is(folder: Path, tmp_path: Path, trusted: Verifier) -> None:
    one, two = tmp_path / "a.zip", tmp_path / "b.zip"
    packed(folder, one)
    packed(folder, two)
    assert one.read_bytes() == two.read_bytes()
    assert check(one, trusted).faults == []
    with zipfile.ZipFile(one, "a") as archive:
        archive.writestr("more", b"x")
    assert check(one, trusted).faults == ["added: more"]
    whole = two.read_bytes()
    two.write_bytes(whole[: len(whole) // 2])
    assert "neither a folder nor a sound zip" in check(two, trusted).faults[0]
    (tmp_path / "text").write_bytes(b"hello")
    assert "neither a folder nor a sound zip" in check(tmp_path / "text", trusted).faults[0]


def test_a_zip_that_swells_is_read_no_further_than_it_should_be_long(
    folder: Path, tmp_path: Path, trusted: Verifier
) -> None:
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            name = path.relative_to(folder).as_posix()
            archive.writestr(name, path.read_bytes() if name != "empty.json" else b"\0" * (64 << 20))
    assert check(bomb, trusted).faults == ["changed: empty.json"]


def test_every_flipped_byte_of_a_zip_is_found_or_harmless(folder: Path, tmp_path: Path, trusted: Verifier) -> None:
    path = tmp_path / "a.zip"
    packed(folder, path)
    whole = path.read_bytes()
    for place in range(0, len(whole), 37):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        found = check(path, trusted)
        if not found.faults:  # a flipped bit of a time or a mode, which no manifest tells of
            with zipfile.ZipFile(io.BytesIO(whole)) as one, zipfile.ZipFile(path) as two:
                assert {name: one.read(name) for name in one.namelist()} == {name: two.read(name) for name in two.namelist()}


def test_it_is_checked_without_nigrani(folder: Path, signer: Signer) -> None:
    for program in ("sha256sum", "openssl"):
        if shutil.which(program) is None:
            pytest.skip(f"no {program} here")
    run(["sha256sum", "--check", "--strict", SUMS], folder)
    verify = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", PUBLIC, "-rawin", "-in", MANIFEST, "-sigfile", SIGNATURE]
    assert b"Verified Successfully" in run(verify, folder)
    raw = run(["openssl", "pkey", "-pubin", "-in", PUBLIC, "-outform", "DER"], folder)[-32:]
    assert hashlib.sha256(raw).hexdigest()[:16] == signer.key_id
    append(MANIFEST)(folder)
    with pytest.raises(subprocess.CalledProcessError):
        run(verify, folder)


def run(command: list[str], folder: Path) -> bytes:
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=30).stdout


def test_a_manifest_names_when_in_utc(folder: Path) -> None:
    assert msgspec.json.decode((folder / MANIFEST).read_bytes())["made"] == "2026-11-22T06:48:24Z"
