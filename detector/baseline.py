"""The baseline: all that was learnt of a site, in one signed file that tells nobody's traffic and can run nothing.

An .npz file, as numpy reads it: `header.json` and one .npy member an array, stored uncompressed, no pickle. The zip's
comment carries the signature of all bytes before it, checked before any of them is parsed. The same baseline always
gives the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import secrets
import struct
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.signing import SIGNATURE_BYTES, Signer, Verifier

FORMAT = 1
"""The version of the file's layout; a detector reads its own only."""

MAX_BYTES = 256 << 20
MAX_HEADER = 4 << 20
MAX_MEMBERS = 4096

HEADER = "header.json"
MARK = b"nigrani-ed25519 "
COMMENT_BYTES = len(MARK) + 16 + 1 + 2 * SIGNATURE_BYTES
"""The mark, the key's id, a space, the signature in hexadecimal."""

KINDS = {"<f8", "<f4", "<i4", "<i8", "<u8", "|u1"}
"""The types that an array may have, beside texts of fixed length."""

NAME = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)*")
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time a zip can tell; when a baseline was written is not in it."""

BAD_ZIP = (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, OSError, EOFError, struct.error)
"""What `zipfile` raises on bytes that are no zip."""

MAX_SEEN = 1 << 16
"""Answers that a set of seen values remembers."""


class BaselineError(ValueError):
    """A baseline that must not be used; the message says why in one sentence."""


def schema_hash(features: Sequence[str]) -> str:
    """The features' names and order as 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(list(features)).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Baseline:
    """A header and named arrays; names are dotted paths such as `flow.ecod.model.knots`."""

    header: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]]

    @classmethod
    def of(
        cls,
        features: Sequence[str],
        arrays: Mapping[str, NDArray[Any]],
        *,
        window: tuple[str, str],
        counts: Mapping[str, int],
        models: Sequence[str],
        seed: int,
        config: Mapping[str, Any],
    ) -> Baseline:
        """A baseline made of events between the two `window` times, ISO 8601, of the events themselves."""
        header = {
            "format": FORMAT,
            "features": list(features),
            "schema": schema_hash(features),
            "window": list(window),
            "counts": dict(counts),
            "models": list(models),
            "seed": seed,
            "config": dict(config),
        }
        return cls(header, dict(arrays))

    def section(self, prefix: str) -> dict[str, NDArray[Any]]:
        """The arrays whose names begin with `prefix` and a dot, without them."""
        start = f"{prefix}."
        return {name.removeprefix(start): array for name, array in self.arrays.items() if name.startswith(start)}

    def to_bytes(self, signer: Signer) -> bytes:
        """The signed file. Raises BaselineError where an array's name, type or value may not be in one."""
        arrays = {name: _storable(name, array) for name, array in sorted(self.arrays.items())}
        shapes = {name: [array.dtype.str, list(array.shape)] for name, array in arrays.items()}
        try:
            header = json.dumps({**self.header, "arrays": shapes}, sort_keys=True, allow_nan=False, indent=1).encode()
        except (TypeError, ValueError) as error:
            raise BaselineError(f"the header cannot be written as JSON: {error}") from error
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            archive.comment = b" " * COMMENT_BYTES
            archive.writestr(_entry(HEADER), header)
            for name, array in arrays.items():
                archive.writestr(_entry(f"{name}.npy"), _npy(array))
        data = file.getvalue()[:-COMMENT_BYTES]
        if len(data) + COMMENT_BYTES > MAX_BYTES or len(header) > MAX_HEADER or len(arrays) >= MAX_MEMBERS:
            raise BaselineError(f"the baseline is too large: {len(data)} bytes, {len(arrays)} arrays")
        return data + MARK + f"{signer.key_id} {signer.sign(data).hex()}".encode()

    @classmethod
    def from_bytes(cls, data: bytes, verifier: Verifier, features: Sequence[str] | None = None) -> Baseline:
        """The baseline of a signed file, `features` being those that this version computes. Raises BaselineError."""
        _check_signature(data, verifier)
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                header, arrays = _unpack(archive, len(data))
        except BaselineError:
            raise
        except BAD_ZIP as error:
            raise BaselineError(f"the baseline is not a zip file as written here: {error}") from error
        if features is not None:
            _check_features(header, features)
        return cls(header, arrays)


def save(baseline: Baseline, path: Path, signer: Signer) -> None:
    """Write the file aside and rename it, so that a reader finds the old one or the new. Raises BaselineError."""
    data = baseline.to_bytes(signer)
    aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        try:
            descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o640)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(descriptor)
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise BaselineError(f"{path}: cannot be written: {error.strerror}") from error


def load(path: Path, verifier: Verifier, features: Sequence[str] | None = None) -> Baseline:
    """Read and check a file. Raises BaselineError, which names it."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise BaselineError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        return Baseline.from_bytes(data, verifier, features)
    except BaselineError as error:
        raise BaselineError(f"{path}: {error}") from error


def _check_signature(data: bytes, verifier: Verifier) -> None:
    """Whether all bytes but the signature's own are as a trusted key signed them; else BaselineError."""
    if len(data) > MAX_BYTES:
        raise BaselineError(f"the baseline is larger than {MAX_BYTES} bytes")
    body, comment = data[:-COMMENT_BYTES], data[-COMMENT_BYTES:]
    if not data.startswith(b"PK\x03\x04"):
        raise BaselineError("the file is not a baseline")
    signed = re.fullmatch(MARK + rb"([0-9a-f]{16}) ([0-9a-f]{128})", comment)
    if signed is None:
        raise BaselineError("the baseline is cut short, or was never signed")
    name = signed[1].decode()
    if not verifier.trusts(name):
        raise BaselineError(f"the baseline is signed by the key {name}, which is not trusted here")
    if not verifier.holds(name, bytes.fromhex(signed[2].decode()), body):
        raise BaselineError("the baseline was altered after it was signed")


def _unpack(archive: zipfile.ZipFile, size: int) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Header and arrays of an archive of `size` bytes, each member held to what the header says of it."""
    members = {member.filename: member for member in archive.infolist()}
    if len(members) != len(archive.infolist()) or len(members) > MAX_MEMBERS:
        raise BaselineError("the baseline has too many members, or one twice")
    for member in members.values():
        if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1 or member.compress_size != member.file_size:
            raise BaselineError(f"the member {member.filename} is compressed or encrypted")
    if sum(member.file_size for member in members.values()) > size:
        raise BaselineError("the baseline's members are larger than the file")
    if HEADER not in members or members[HEADER].file_size > MAX_HEADER:
        raise BaselineError("the baseline's header is missing or too large")
    header = _header(archive.read(HEADER))
    shapes = header.pop("arrays")
    if members.keys() - {HEADER} != {f"{name}.npy" for name in shapes}:
        raise BaselineError("the baseline's members are not those that its header names")
    return header, {name: _array(name, archive.read(f"{name}.npy"), shape) for name, shape in shapes.items()}


def _header(content: bytes) -> dict[str, Any]:
    """The header, of this version and with a plausible list of arrays."""
    try:
        header = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BaselineError("the baseline's header is not JSON") from error
    if not isinstance(header, dict):
        raise BaselineError("the baseline's header is not an object")
    if header.get("format") != FORMAT:
        raise BaselineError(f"the baseline has format {header.get('format')!r}, and this version reads {FORMAT}")
    if not isinstance(header.get("arrays"), dict) or not isinstance(header.get("features"), list):
        raise BaselineError("the baseline's header lists no arrays or no features")
    return header


def _array(name: str, content: bytes, declared: object) -> NDArray[Any]:
    """One array of the type, shape and size that the header declares, finite."""
    file = io.BytesIO(content)
    try:
        if np.lib.format.read_magic(file) != (1, 0):
            raise BaselineError(f"the array {name} is of another .npy version")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    except ValueError as error:
        raise BaselineError(f"the array {name} is not a .npy file: {error}") from error
    if declared != [dtype.str, list(shape)] or fortran or not _allowed(dtype) or min(shape, default=0) < 0:
        raise BaselineError(f"the array {name} is not of the type and shape that the header declares")
    if file.tell() + dtype.itemsize * int(np.prod(shape, dtype=object)) != len(content):
        raise BaselineError(f"the array {name} is longer or shorter than its shape")
    values = content[file.tell() :]
    array = np.frombuffer(values, dtype).reshape(shape).copy()
    if dtype.kind == "f" and not np.isfinite(array).all():
        raise BaselineError(f"the array {name} has values that are not finite")
    if dtype.kind == "U" and (np.frombuffer(values, np.uint32) > 0x10FFFF).any():
        raise BaselineError(f"the array {name} has a character that is none")
    return array


def _check_features(header: Mapping[str, Any], features: Sequence[str]) -> None:
    """Whether the baseline's features are these, in this order; else BaselineError."""
    theirs, ours = header["features"], list(features)
    if theirs == ours and header.get("schema") == schema_hash(ours):
        return
    if sorted(map(str, theirs)) == sorted(ours):
        raise BaselineError("the baseline's features are in another order than this version's; train anew")
    unknown = ", ".join(sorted({str(name) for name in theirs} - set(ours))[:5]) or "none"
    missing = ", ".join(sorted(set(ours) - {str(name) for name in theirs})[:5]) or "none"
    raise BaselineError(
        f"the baseline's features are not this version's (unknown: {unknown}; missing: {missing}); train anew"
    )


def _storable(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """The array as it is stored: little-endian, rows first, finite, of an allowed type."""
    stored = np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")
    if NAME.fullmatch(name) is None or len(name) > 200:
        raise BaselineError(f"{name!r} is no name for an array; use words in lower case with dots between")
    if not _allowed(stored.dtype):
        raise BaselineError(f"the array {name} is {array.dtype}, which a baseline does not hold")
    if stored.dtype.kind == "f" and not np.isfinite(stored).all():
        raise BaselineError(f"the array {name} has values that are not finite")
    return stored


def _allowed(dtype: np.dtype[Any]) -> bool:
    return dtype.str in KINDS or (dtype.kind in "SU" and dtype.byteorder in "<|=" and dtype.itemsize > 0)


def _npy(array: NDArray[Any]) -> bytes:
    """The array as a .npy file of version 1.0."""
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version=(1, 0), allow_pickle=False)
    return file.getvalue()


def _entry(name: str) -> zipfile.ZipInfo:
    """A zip entry that tells neither when nor on what system it was written."""
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.create_system = 3
    entry.external_attr = 0o640 << 16
    return entry


class SeenSet:
    """The values ever seen of a field, as sorted 64-bit hashes: 8 bytes each, and no value can be read back from it.

    A stranger is taken for seen once in 2⁶⁴ / n.
    """

    def __init__(self, hashes: NDArray[Any]) -> None:
        """hashes: uint64[n], strictly ascending. Raises ValueError where it is not."""
        if hashes.dtype != np.uint64 or hashes.ndim != 1 or (hashes[1:] <= hashes[:-1]).any():
            raise ValueError("a set of seen values must be strictly ascending uint64 of one dimension")
        self.hashes = hashes
        self._known: dict[str, bool] = {}

    @classmethod
    def build(cls, values: Iterable[str]) -> SeenSet:
        """The set of these values."""
        return cls(np.unique(np.array([value_hash(value) for value in values], dtype=np.uint64)))

    def __len__(self) -> int:
        return len(self.hashes)

    def __contains__(self, value: str) -> bool:
        known = self._known.get(value)
        if known is None:
            if len(self._known) >= MAX_SEEN:
                self._known.clear()
            wanted = np.uint64(value_hash(value))
            at = int(np.searchsorted(self.hashes, wanted))
            known = self._known[value] = at < len(self.hashes) and bool(self.hashes[at] == wanted)
        return known


def value_hash(value: str) -> int:
    """Eight bytes of BLAKE2b (RFC 7693), the same on every host and in every year."""
    return int.from_bytes(hashlib.blake2b(value.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")
