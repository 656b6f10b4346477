"""How long a certificate is valid: RFC 5280 §4.1, of which the standard library reads only what it has verified."""

from __future__ import annotations

import re
import ssl
from datetime import UTC, datetime
from pathlib import Path

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_SEQUENCE, _VERSION, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18
MAX_BYTES = 1 << 20


def ends(path: Path) -> list[datetime]:
    """When each certificate of a PEM file ends, in the file's order. Raises OSError, or ValueError where it holds none."""
    with path.open("rb") as file:
        found = _PEM.findall(file.read(MAX_BYTES).decode("ascii", "replace"))
    if not found:
        raise ValueError(f"{path} has no PEM certificate")
    try:
        return [end(ssl.PEM_cert_to_DER_cert(text)) for text in found]
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def end(der: bytes) -> datetime:
    """When the certificate ends. Raises ValueError for what is none."""
    try:
        return _end(der)
    except IndexError:
        raise ValueError("a certificate that is cut off") from None


def _end(der: bytes) -> datetime:
    at, _ = _enter(der, 0, _SEQUENCE)
    at, _ = _enter(der, at, _SEQUENCE)
    if der[at] == _VERSION:
        at = _after(der, at)
    for _ in ("serial number", "signature", "issuer"):
        at = _after(der, at)
    at, _ = _enter(der, at, _SEQUENCE)
    at = _after(der, at)  # where it begins
    tag = der[at]
    first, last = _enter(der, at, tag)
    text = der[first:last].decode("ascii", "replace")
    if tag not in {_UTC_TIME, _GENERALIZED_TIME}:
        raise ValueError("a certificate without an end")
    if tag == _UTC_TIME:
        text = ("20" if text < "50" else "19") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _enter(der: bytes, at: int, tag: int) -> tuple[int, int]:
    """Where the content of an element begins and ends. Raises ValueError where it is another."""
    if der[at] != tag:
        raise ValueError("no certificate")
    length, at = der[at + 1], at + 2
    if length >= 0x80:
        count = length & 0x7F
        if not 1 <= count <= 4:
            raise ValueError("no certificate")
        length = int.from_bytes(der[at : at + count], "big")
        at += count
    if at + length > len(der):
        raise ValueError("a certificate that is cut off")
    return at, at + length


def _after(der: bytes, at: int) -> int:
    return _enter(der, at, der[at])[1]
