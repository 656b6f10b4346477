from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.sources import signature
from agent.sources.signature import ABSENT, INVALID, UNCHECKED, UNKNOWN, VALID, check, endings

CONTENT = b"0" * 64 + b"  model.onnx\n"


def run(*command: object, **more: object) -> bytes:
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, **more).stdout  # type: ignore[call-overload, no-any-return]


class Ssh:
    """A vendor's key, and the site's list of signers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = str(folder / "allowed_signers")
        for name in ("vendor", "stranger"):
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", folder / name)
        public = (folder / "vendor.pub").read_text()
        Path(self.key).write_text(f'models@vendor.example namespaces="file" {public}')

    def sign(self, who: str = "vendor", namespace: str = "file") -> bytes:
        return run("ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-f", self.folder / who, input=CONTENT)


class OpenPgp:
    """The same, by GnuPG."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.home.mkdir(mode=0o700)
        self.key = str(folder / "vendor.gpg")
        for name in ("vendor", "stranger"):
            self.gpg("--passphrase", "", "--quick-gen-key", f"{name}@example.org", "ed25519", "sign", "never")
        Path(self.key).write_bytes(self.gpg("--export", "vendor@example.org"))

    def gpg(self, *words: object, given: bytes = b"") -> bytes:
        return run("gpg", "--homedir", self.home, "--batch", "--pinentry-mode", "loopback", *words, input=given)

    def sign(self, who: str = "vendor") -> bytes:
        return self.gpg("--local-user", f"{who}@example.org", "--armor", "--detach-sign", given=CONTENT)


@pytest.fixture(params=["ssh", "openpgp"])
def signer(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ssh | OpenPgp]:
    made, needed = {"ssh": (Ssh, "ssh-keygen"), "openpgp": (OpenPgp, "gpgv")}[request.param]
    if shutil.which(needed) is None:
        pytest.skip(f"needs {needed}")
    signer = made(tmp_path)
    yield signer
    if isinstance(signer, OpenPgp):
        run("gpgconf", "--homedir", signer.home, "--kill", "all")


def test_whose_it_is(signer: Ssh | OpenPgp) -> None:
    good = signer.sign()
    assert check(CONTENT, good, signer.key) == VALID
    assert check(CONTENT + b"more", good, signer.key) == INVALID
    assert check(CONTENT, signer.sign("stranger"), signer.key) == UNKNOWN
    assert check(CONTENT, None, signer.key) == ABSENT


@pytest.mark.parametrize("hostile", [b"", b"\0\xff" * 99, b"-----BEGIN SSH SIGNATURE-----\nAAAA\n", b"x" * 70_000])
def test_what_is_no_signature_is_invalid(signer: Ssh | OpenPgp, hostile: bytes) -> None:
    assert check(CONTENT, hostile, signer.key) == INVALID


def test_without_the_key_file_nothing_is_known(signer: Ssh | OpenPgp) -> None:
    assert check(CONTENT, signer.sign(), signer.key.replace("vendor", "gone").replace("allowed", "gone")) == UNCHECKED


def test_without_the_tool_nothing_is_known(signer: Ssh | OpenPgp, monkeypatch: pytest.MonkeyPatch) -> None:
    good = signer.sign()
    monkeypatch.setenv("PATH", "/nonexistent")
    assert check(CONTENT, good, signer.key) == UNCHECKED


def test_a_tool_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "ssh-keygen"
    tool.write_text("#!/bin/sh\nexec sleep 60\n")
    tool.chmod(0o755)
    (tmp_path / "allowed_signers").touch()
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(signature, "TIMEOUT", 0.1)
    assert check(CONTENT, b"x", str(tmp_path / "allowed_signers")) == UNCHECKED


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs OpenSSH")
def test_what_was_signed_for_another_purpose_is_invalid(tmp_path: Path) -> None:
    """A key that also signs commits or logs in must not vouch for a model by it."""
    ssh = Ssh(tmp_path)
    assert check(CONTENT, ssh.sign(namespace="git"), ssh.key) == INVALID


def test_the_key_says_which_signature_is_looked_for() -> None:
    assert endings("/etc/nigrani/vendor.gpg") == (".asc", ".gpg", ".sign")
    assert endings("/etc/nigrani/allowed_signers") == (".sig",)
