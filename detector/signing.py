"""Ed25519 keys (RFC 8032) that vouch for a baseline: private where baselines are made, public where they are read.

Both are PEM files, which `openssl pkey` reads. The private key's file may be read by its owner alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

PRIVATE_NAME = "baseline.key"
PUBLIC_NAME = "baseline.pub"
SIGNATURE_BYTES = 64
MAX_KEY_FILE = 4096


class KeyFileError(ValueError):
    """A key file that cannot be used; the message names the file and the remedy."""


def key_id(key: Ed25519PublicKey) -> str:
    """A public key's short name: the first 16 hexadecimal digits of the SHA-256 of its 32 bytes."""
    return hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:16]


class Signer:
    """A private key, for what this host makes."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.key_id = key_id(key.public_key())
        self.public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        """What others check its signatures with."""

    def sign(self, data: bytes) -> bytes:
        """The signature, 64 bytes; the same data always gives the same."""
        return self._key.sign(data)


class Verifier:
    """The public keys that this host trusts."""

    def __init__(self, files: Iterable[Path]) -> None:
        """Read the keys. Raises KeyFileError where there is none, or a file is not a key's."""
        keys = [_read_public(Path(file)) for file in files]
        if not keys:
            raise KeyFileError(f"no trusted key is configured; name the {PUBLIC_NAME} of the host that makes baselines")
        self._keys = {key_id(key): key for key in keys}

    def trusts(self, name: str) -> bool:
        """Whether the key of that short name is among the trusted."""
        return name in self._keys

    def holds(self, name: str, signature: bytes, data: bytes) -> bool:
        """Whether `signature` is that trusted key's, of exactly this data."""
        key = self._keys.get(name)
        if key is None:
            return False
        try:
            key.verify(signature, data)
        except InvalidSignature:
            return False
        return True


def signing_key(folder: Path) -> Signer:
    """The key in `folder`, made first where there is none; its public key lies beside it.

    Of two processes that start together one makes the key and both use it. Raises KeyFileError.
    """
    private = folder / PRIVATE_NAME
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not private.exists():
            pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            _create(private, pem, 0o600)
        key = _read_private(private)
        public = folder / PUBLIC_NAME
        if not public.exists():
            _create(public, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), 0o644)
    except OSError as error:
        raise KeyFileError(f"{folder}: cannot make a signing key: {error.strerror}; let this user write there") from error
    if key_id(_read_public(public)) != key_id(key.public_key()):
        raise KeyFileError(f"{public} does not belong to {private}; remove {public} and it is written anew")
    return Signer(key)


def _create(path: Path, content: bytes, mode: int) -> None:
    """Write a file that appears whole or not at all, unless it is there by then."""
    aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            if os.geteuid() == 0:  # by hand; the folder is the service's, and so is what lies in it
                folder = path.parent.stat()
                os.fchown(descriptor, folder.st_uid, folder.st_gid)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        with contextlib.suppress(FileExistsError):
            os.link(aside, path)
    finally:
        aside.unlink()


def _read_private(path: Path) -> Ed25519PrivateKey:
    content, mode = _read(path)
    if mode & 0o077:
        raise KeyFileError(f"{path}: others may read this private key (mode {mode & 0o777:04o}); run chmod 600 {path}")
    with contextlib.suppress(ValueError, TypeError, UnsupportedAlgorithm):
        key = load_pem_private_key(content, password=None)
        if isinstance(key, Ed25519PrivateKey):
            return key
    raise KeyFileError(f"{path}: not an Ed25519 private key in PEM; restore it, or remove it to have a new one made")


def _read_public(path: Path) -> Ed25519PublicKey:
    content, _ = _read(path)
    with contextlib.suppress(ValueError, TypeError, UnsupportedAlgorithm):
        key = load_pem_public_key(content)
        if isinstance(key, Ed25519PublicKey):
            return key
    raise KeyFileError(f"{path}: not an Ed25519 public key in PEM; copy {PUBLIC_NAME} from the host that makes baselines")


def _read(path: Path) -> tuple[bytes, int]:
    """A key file's content and mode, of one open file."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_KEY_FILE), os.fstat(file.fileno()).st_mode
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be read: {error.strerror}") from error
