"""Certificates, keys and passwords in files: there, fit, not everybody's, and valid for a while yet."""

from __future__ import annotations

import ssl
import stat
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from agent.check import Finding, Subject
from nigrani.service.certificate import ends
from nigrani.service.key import STORE

SOON = 30
"""Days before its end at which a certificate is told of."""


def identity(about: str, certificate: Path, key: Path, subject: Subject, setting: str) -> Iterator[Finding]:
    """A certificate and its key; `setting` is the group that names both."""
    faults = [*readable(about, certificate, subject, f"{setting}.certificate")]
    faults += secret(about, key, subject, f"{setting}.key")
    yield from faults
    if any(finding.level == "fail" for finding in faults):
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key, password="")  # one that asks would wait for a terminal
    except (OSError, ValueError) as error:
        said = getattr(error, "reason", None) or str(error)
        message = f"{certificate} and {key} are no certificate and its key ({said})"
        yield Finding("fail", about, message, "give the two that belong together, in PEM", subject.place(f"{setting}.key"))
        return
    yield from lasting(about, certificate, subject, f"{setting}.certificate")


def authorities(about: str, path: Path, subject: Subject, setting: str) -> Iterator[Finding]:
    """Certificates of those who sign others'."""
    faults = list(readable(about, path, subject, setting))
    yield from faults
    if faults:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except (OSError, ValueError):
        yield Finding("fail", about, f"{path} has no certificates", "give the authority's, in PEM", subject.place(setting))
        return
    yield from lasting(about, path, subject, setting)


def readable(about: str, path: Path, subject: Subject, setting: str) -> Iterator[Finding]:
    """Nothing where it can be read."""
    place = subject.place(setting)
    if not path.exists():
        yield Finding("fail", about, f"{path} is not there", "name another, or put it there", place)
    elif path.parent != STORE and not subject.account.may("read", path):  # systemd hands on what is in the store
        message = f"{path} cannot be read by {subject.account.name}"
        yield Finding("fail", about, message, f"setfacl -m u:{subject.account.name}:r {path}, for one", place)


def secret(about: str, path: Path, subject: Subject, setting: str) -> Iterator[Finding]:
    """Nothing where it can be read, and not by everybody."""
    faults = list(readable(about, path, subject, setting))
    yield from faults
    if not faults and stat.S_IMODE(path.stat().st_mode) & 0o007:
        yield Finding("warn", about, f"{path} can be read by everybody", f"chmod o= {path}", subject.place(setting))


def lasting(about: str, path: Path, subject: Subject, setting: str) -> Iterator[Finding]:
    """For how long the certificates of a file are valid."""
    try:
        first = min(ends(path))
    except (OSError, ValueError) as error:
        yield Finding("warn", about, str(error), "", subject.place(setting))
        return
    yield validity(about, first, str(path), subject.place(setting))


def validity(about: str, until: datetime, what: str, place: str = "") -> Finding:
    """Whether it ends soon."""
    days = (until - datetime.fromtimestamp(time.time(), UTC)).days
    if days < 0:
        return Finding("fail", about, f"{what} ended on {until:%Y-%m-%d}", "renew it", place)
    if days < SOON:
        return Finding("warn", about, f"{what} ends in {days} days", "renew it", place)
    return Finding("ok", about, f"{what} is valid until {until:%Y-%m-%d}")
