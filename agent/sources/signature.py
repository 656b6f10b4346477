"""Whether a manifest was signed by somebody whom the site trusts, checked offline by the tools that signed it.

*SSH*: `SHA256SUMS.sig`, as `ssh-keygen -Y sign -n file` writes it, against a file of allowed signers (ssh-keygen(1)).
*OpenPGP*: `SHA256SUMS.asc`, `.gpg` or `.sign`, as `gpg --detach-sign` writes it, against a keyring of `gpg --export`, which
`gpgv` reads. Nothing is fetched, and no keyring or agent of a user's is asked.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MAX_SIGNATURE = 1 << 16
TIMEOUT = 10.0
"""Seconds that a check may take."""
SSH = (".sig",)
OPENPGP = (".asc", ".gpg", ".sign")
KEYRINGS = (".gpg", ".kbx", ".pgp")
"""How the name of a keyring ends; any other key file is one of allowed signers."""
NAMESPACE = "file"
"""What ssh-keygen(1) says to give for the signing of files."""

VALID, INVALID, ABSENT, UNKNOWN = "valid", "invalid", "absent", "unknown-key"
UNCHECKED = "unchecked"
"""The tool or the key file is not there: nothing is known."""


def endings(key: str) -> tuple[str, ...]:
    """What the name of a signature that this key file can check ends with, after the manifest's own."""
    return OPENPGP if key.endswith(KEYRINGS) else SSH


def check(content: bytes, signature: bytes | None, key: str) -> str:
    """`valid`, `invalid`, `absent`, `unknown-key` or `unchecked`. Never raises."""
    if signature is None:
        return ABSENT
    if len(signature) > MAX_SIGNATURE:
        return INVALID
    try:
        with _held(signature) as path:
            return _openpgp(content, path, key) if key.endswith(KEYRINGS) else _ssh(content, path, key)
    except (OSError, subprocess.SubprocessError):
        return UNCHECKED


def _ssh(content: bytes, signature: str, key: str) -> str:
    Path(key).stat()
    found = _run("ssh-keygen", "-Y", "find-principals", "-s", signature, "-f", key)
    if found.returncode:
        sound = _run("ssh-keygen", "-Y", "check-novalidate", "-n", NAMESPACE, "-s", signature, given=content)
        return INVALID if sound.returncode else UNKNOWN
    verify = ("ssh-keygen", "-Y", "verify", "-n", NAMESPACE, "-s", signature, "-f", key)
    names = found.stdout.decode("utf-8", "replace").split("\n")
    good = any(not _run(*verify, "-I", name, given=content).returncode for name in names if name)
    return VALID if good else INVALID


def _openpgp(content: bytes, signature: str, key: str) -> str:
    Path(key).stat()
    ran = _run("gpgv", "--status-fd", "1", "--keyring", os.path.realpath(key), signature, "-", given=content)
    told = {line.split()[1] for line in ran.stdout.decode("utf-8", "replace").splitlines() if line.startswith("[GNUPG:] ")}
    if ran.returncode == 0 and "GOODSIG" in told:
        return VALID
    return UNKNOWN if "NO_PUBKEY" in told and "BADSIG" not in told else INVALID


def _run(*command: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "GNUPGHOME": "/nonexistent"}
    return subprocess.run(  # noqa: S603 - fixed programs; paths are absolute, and none can be an option
        command, input=given, capture_output=True, timeout=TIMEOUT, check=False, env=environment
    )


@contextmanager
def _held(signature: bytes) -> Iterator[str]:
    """A path of these bytes, which nobody can change meanwhile."""
    with tempfile.NamedTemporaryFile(prefix="nigrani-") as file:
        file.write(signature)
        file.flush()
        yield file.name
