"""A folder of evidence, sealed: a manifest with the SHA-256 of every file, signed; and how it is checked later.

The signature is Ed25519 (RFC 8032) over the bytes of `manifest.json`. Whoever changes, adds or takes away a file
is found out by it; whoever holds the private key is not, so the key's id is written down in the case's history too.
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, NamedTuple, Protocol

import msgspec
from msgspec import Struct

from detector.signing import SIGNATURE_BYTES, Signer, Verifier

FORMAT = "nigrani-evidence/1"
MANIFEST, SIGNATURE, SUMS, PUBLIC = "manifest.json", "manifest.sig", "SHA256SUMS", "evidence.pub"
MAX_MANIFEST = 16 << 20
MAX_FILES = 10_000
STEP = 1 << 20
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can tell."""
BAD_ZIP = (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, OSError, EOFError, struct.error, zlib.error)
"""What `zipfile` raises on bytes that are no sound zip."""


class Sealed(Struct, frozen=True):
    """One file of a manifest."""

    bytes: int
    sha256: str


class Manifest(Struct, frozen=True, kw_only=True):
    """manifest.json."""

    format: str
    case: int
    made: datetime
    key_id: str
    files: dict[str, Sealed]


class Checked(NamedTuple):
    """What a check found."""

    manifest: Manifest | None
    faults: list[str]
    files: int = 0
    """How many are as they were sealed."""


class Package(Protocol):
    """A folder or an archive that holds evidence."""

    def names(self) -> Iterator[str]:
        """Every file in it, as it is named in a manifest; ends with `/` or `@` where it is no plain file."""

    def open(self, name: str) -> IO[bytes]:
        """Read one of them."""


class FolderPackage:
    """A folder; links in it are not followed."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def names(self) -> Iterator[str]:
        """Every file below it."""
        for place, folders, files in os.walk(self._path):
            here = Path(place)
            for name in (*files, *(folder for folder in folders if (here / folder).is_symlink())):
                plain = stat.S_ISREG((here / name).lstat().st_mode)
                yield (here / name).relative_to(self._path).as_posix() + ("" if plain else "@")

    def open(self, name: str) -> IO[bytes]:
        """Read one of them, never through a link."""
        return os.fdopen(os.open(self._path / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")


class ZipPackage:
    """A zip; it is read where it is, and nothing is unpacked."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    def names(self) -> Iterator[str]:
        """Every entry; one that is there twice is told twice."""
        return iter(self._archive.namelist())

    def open(self, name: str) -> IO[bytes]:
        """Read an entry."""
        return self._archive.open(name)


def seal(folder: Path, case: int, made: datetime, signer: Signer) -> Manifest:
    """Write the sums, the manifest and the signature over all that is in the folder. Raises OSError."""
    package = FolderPackage(folder)
    put(folder / PUBLIC, signer.public)
    files = {name: _sum(package, name) for name in sorted(package.names())}
    put(folder / SUMS, "".join(f"{one.sha256}  {name}\n" for name, one in files.items()).encode())
    files[SUMS] = _sum(package, SUMS)
    manifest = Manifest(format=FORMAT, case=case, made=made.astimezone(UTC), key_id=signer.key_id, files=files)
    content = msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"
    put(folder / MANIFEST, content)
    put(folder / SIGNATURE, signer.sign(content))
    return manifest


def put(path: Path, content: bytes) -> None:
    """Write a new file that its owner alone may read. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def packed(folder: Path, path: Path) -> None:
    """Write the folder as a zip, the same bytes for the same files. Raises OSError."""
    with zipfile.ZipFile(path, "x", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(FolderPackage(folder).names()):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (stat.S_IFREG | 0o600) << 16
            with (folder / name).open("rb") as source, archive.open(entry, "w", force_zip64=True) as target:
                while chunk := source.read(STEP):
                    target.write(chunk)
    path.chmod(0o600)


def check(path: Path, verifier: Verifier) -> Checked:
    """Whether the evidence in a folder or zip is as it was sealed, by a key that is trusted. Raises OSError."""
    if path.is_dir():
        return _check(FolderPackage(path), verifier)
    with path.open("rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                return _check(ZipPackage(archive), verifier)
        except BAD_ZIP as error:
            return Checked(None, [f"neither a folder nor a sound zip: {error}"])


def _check(package: Package, verifier: Verifier) -> Checked:
    names = Counter(package.names())
    if names.total() > MAX_FILES:
        return Checked(None, [f"{names.total()} files: no evidence package has more than {MAX_FILES}"])
    for name in (MANIFEST, SIGNATURE):
        if name not in names:
            return Checked(None, [f"missing: {name}; nothing can be said of the rest"])
    content = _read(package, MANIFEST, MAX_MANIFEST)
    manifest = _manifest(content)
    if manifest is None:
        return Checked(None, [f"changed: {MANIFEST} is no manifest of {FORMAT}"])
    faults = _signed(manifest, content, _read(package, SIGNATURE, SIGNATURE_BYTES), verifier)
    faults += [f"added: {name}" for name in sorted({*names} - {*manifest.files, MANIFEST, SIGNATURE})]
    faults += [f"there twice: {name}" for name, count in sorted(names.items()) if count > 1]
    sound = 0
    for name, sealed in sorted(manifest.files.items()):
        if name not in names:
            faults.append(f"missing: {name}")
        elif not _same(package, name, sealed):
            faults.append(f"changed: {name}")
        else:
            sound += 1
    return Checked(manifest, faults, sound)


def _signed(manifest: Manifest, content: bytes, signature: bytes, verifier: Verifier) -> list[str]:
    if not verifier.trusts(manifest.key_id):
        key = manifest.key_id[:64]
        return [f"signed by the key {key}, which is not trusted here: compare its id, and name its file with --trust"]
    if not verifier.holds(manifest.key_id, signature, content):
        return [f"changed: {MANIFEST}, or its signature"]
    return []


def _manifest(content: bytes) -> Manifest | None:
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except ValueError:
        return None
    return manifest if manifest.format == FORMAT else None


def _read(package: Package, name: str, most: int) -> bytes:
    """A file's content, cut one byte over the limit, so that a longer one is not as it was."""
    with package.open(name) as file:
        return file.read(most + 1)


def _same(package: Package, name: str, sealed: Sealed) -> bool:
    """Whether a file is as it was sealed; what cannot be read is not."""
    try:
        return _sum(package, name, sealed.bytes) == sealed
    except BAD_ZIP:
        return False


def _sum(package: Package, name: str, most: int | None = None) -> Sealed:
    """A file's size and hash, or of no more of it than shows that it is too long."""
    digest, size = hashlib.sha256(), 0
    with package.open(name) as file:
        while (most is None or size <= most) and (chunk := file.read(STEP)):
            digest.update(chunk)
            size += len(chunk)
    return Sealed(size, digest.hexdigest())
