"""A signing key is made once, kept to its owner, and trusted by name."""

import multiprocessing
import os
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from detector.signing import PRIVATE_NAME, PUBLIC_NAME, SIGNATURE_BYTES, KeyFileError, Signer, Verifier, signing_key


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def write_private(folder: Path, content: bytes) -> None:
    folder.mkdir()
    (folder / PRIVATE_NAME).write_bytes(content)
    (folder / PRIVATE_NAME).chmod(0o600)


class TestSigningKey:
    def test_is_made_once_and_then_loaded(self, folder: Path) -> None:
        first = signing_key(folder)
        assert signing_key(folder).key_id == first.key_id
        assert sorted(path.name for path in folder.iterdir()) == [PRIVATE_NAME, PUBLIC_NAME]

    def test_modes_do_not_depend_on_the_umask(self, folder: Path) -> None:
        before = os.umask(0o077)
        try:
            signing_key(folder)
        finally:
            os.umask(before)
        assert (folder / PRIVATE_NAME).stat().st_mode & 0o777 == 0o600
        assert (folder / PUBLIC_NAME).stat().st_mode & 0o777 == 0o644

    def test_another_folder_has_another_key(self, tmp_path: Path) -> None:
        assert signing_key(tmp_path / "a").key_id != signing_key(tmp_path / "b").key_id

    def test_processes_that_start_together_share_one_key(self, folder: Path) -> None:
        with multiprocessing.get_context("fork").Pool(8) as pool:
            names = pool.map(_key_name, [folder] * 24)
        assert len(set(names)) == 1
        assert sorted(path.name for path in folder.iterdir()) == [PRIVATE_NAME, PUBLIC_NAME]

    def test_a_lost_public_key_is_written_anew(self, folder: Path) -> None:
        signer = signing_key(folder)
        (folder / PUBLIC_NAME).unlink()
        signing_key(folder)
        assert Verifier([folder / PUBLIC_NAME]).trusts(signer.key_id)

    def test_openssl_reads_both(self, folder: Path) -> None:
        signing_key(folder)
        command = ["openssl", "pkey", "-in", str(folder / PRIVATE_NAME), "-pubout"]
        try:
            public = subprocess.run(command, check=True, capture_output=True).stdout
        except FileNotFoundError:
            pytest.skip("openssl is not installed")
        assert public == (folder / PUBLIC_NAME).read_bytes()

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o610])
    def test_refuses_a_key_that_others_may_read(self, folder: Path, mode: int) -> None:
        signing_key(folder)
        (folder / PRIVATE_NAME).chmod(mode)
        with pytest.raises(KeyFileError, match=f"mode {mode:04o}.*chmod 600"):
            signing_key(folder)

    @pytest.mark.parametrize("content", [b"", b"x" * 32, b"-----BEGIN PRIVATE KEY-----\n", os.urandom(5000)])
    def test_refuses_what_is_no_key(self, folder: Path, content: bytes) -> None:
        write_private(folder, content)
        with pytest.raises(KeyFileError, match="not an Ed25519 private key"):
            signing_key(folder)

    def test_refuses_a_key_cut_short(self, folder: Path) -> None:
        signing_key(folder)
        whole = (folder / PRIVATE_NAME).read_bytes()
        for length in range(0, len(whole) - 1, 7):
            (folder / PRIVATE_NAME).write_bytes(whole[:length])
            with pytest.raises(KeyFileError, match="not an Ed25519 private key"):
                signing_key(folder)

    def test_refuses_another_kind_of_key(self, folder: Path) -> None:
        key = generate_private_key(SECP256R1())
        write_private(folder, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        with pytest.raises(KeyFileError, match="not an Ed25519 private key"):
            signing_key(folder)

    def test_refuses_an_encrypted_key(self, folder: Path) -> None:
        key = Ed25519PrivateKey.generate()
        write_private(folder, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")))
        with pytest.raises(KeyFileError, match="not an Ed25519 private key"):
            signing_key(folder)

    def test_refuses_a_public_key_of_another(self, tmp_path: Path) -> None:
        signing_key(tmp_path / "a")
        signing_key(tmp_path / "b")
        (tmp_path / "a" / PUBLIC_NAME).write_bytes((tmp_path / "b" / PUBLIC_NAME).read_bytes())
        with pytest.raises(KeyFileError, match="does not belong"):
            signing_key(tmp_path / "a")

    def test_says_which_folder_cannot_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(KeyFileError, match="file: cannot make a signing key"):
            signing_key(tmp_path / "file")


class TestVerifier:
    def test_holds_what_a_trusted_key_signed(self, folder: Path) -> None:
        signer = signing_key(folder)
        signature = signer.sign(b"data")
        verifier = Verifier([folder / PUBLIC_NAME])
        assert len(signature) == SIGNATURE_BYTES
        assert verifier.holds(signer.key_id, signature, b"data")
        assert not verifier.holds(signer.key_id, signature, b"date")
        assert not verifier.holds(signer.key_id, signature[:-1], b"data")
        assert not verifier.holds(signer.key_id, b"", b"data")

    def test_trusts_each_named_file_and_no_other(self, tmp_path: Path) -> None:
        a, b, c = (signing_key(tmp_path / name) for name in "abc")
        verifier = Verifier([tmp_path / "a" / PUBLIC_NAME, tmp_path / "b" / PUBLIC_NAME])
        assert verifier.trusts(a.key_id)
        assert verifier.trusts(b.key_id)
        assert not verifier.trusts(c.key_id)
        assert not verifier.holds(c.key_id, c.sign(b""), b"")
        assert not verifier.holds(a.key_id, b.sign(b""), b"")

    def test_needs_a_key(self) -> None:
        with pytest.raises(KeyFileError, match="no trusted key"):
            Verifier([])

    def test_says_which_file_is_missing(self, tmp_path: Path) -> None:
        with pytest.raises(KeyFileError, match=r"none.pub: cannot be read: No such file"):
            Verifier([tmp_path / "none.pub"])

    def test_refuses_a_private_key_in_its_place(self, folder: Path) -> None:
        signing_key(folder)
        with pytest.raises(KeyFileError, match="not an Ed25519 public key"):
            Verifier([folder / PRIVATE_NAME])

    def test_refuses_another_kind_of_key(self, tmp_path: Path) -> None:
        path = tmp_path / "other.pub"
        key = generate_private_key(SECP256R1()).public_key()
        path.write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        with pytest.raises(KeyFileError, match="not an Ed25519 public key"):
            Verifier([path])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a key for another user")
def test_a_key_that_root_makes_is_the_folders_owners(folder: Path) -> None:
    folder.mkdir()
    os.chown(folder, 4711, 4712)
    signing_key(folder)
    assert {(path.stat().st_uid, path.stat().st_gid) for path in folder.iterdir()} == {(4711, 4712)}


def test_the_same_data_has_the_same_signature() -> None:
    signer = Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
    assert signer.sign(b"data") == signer.sign(b"data")
    assert signer.key_id == "56475aa75463474c"


def _key_name(folder: Path) -> str:
    return signing_key(folder).key_id
