"""Where the agent writes: state folder and spool, room on their disk, and the site's key."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from agent.check import Finding, Subject, Task
from agent.setup import bus_folder
from nigrani.service.errors import Problem
from nigrani.service.key import STORE, default_site_key, read_site_key, state_folder


def tasks(subject: Subject) -> Iterator[Task]:
    """Three."""
    yield Task("state", partial(folder, "state", state_folder(), subject))
    yield Task("spool", partial(spool, subject))
    yield Task("site key", partial(key, subject))


def folder(about: str, path: Path, subject: Subject, setting: str = "") -> Iterator[Finding]:
    """Whether it can be written to, or made."""
    place = subject.place(setting) if setting else ""
    there = next(one for one in (path, *path.absolute().parents) if one.exists())
    name = subject.account.name
    if not there.is_dir():
        yield Finding("fail", about, f"{there} is no folder", "name another", place)
    elif not (subject.account.may("write", there) and subject.account.may("search", there)):
        made = f"{path} cannot be made in {there}" if there != path else f"{path} cannot be written to"
        yield Finding("fail", about, f"{made} by {name}", f"chown {name} it, or name another folder", place)
    else:
        yield Finding("ok", about, f"{path}{'' if there == path else ', made at the first run'}")


def spool(subject: Subject) -> Iterator[Finding]:
    """Its folder, and whether all of it fits on the disk."""
    path, most = bus_folder(subject.config), subject.config.bus.max_bytes
    yield from folder("spool", path, subject, "bus.path")
    there = next(one for one in (path, *path.absolute().parents) if one.exists())
    disk = os.statvfs(there)
    free = disk.f_bavail * disk.f_frsize
    held = sum(one.stat().st_size for one in path.glob("*.log")) if path.is_dir() else 0
    if free + held < most:
        message = f"{_size(free)} free on its disk, and it may grow to {_size(most)}"
        remedy = "lower bus.max_bytes or free some: a full disk drops events sooner"
        yield Finding("warn", "spool", message, remedy, subject.place("bus.max_bytes"))
    else:
        yield Finding("ok", "spool", f"{_size(free)} free on its disk, of {_size(most)} that it may take")


def key(subject: Subject) -> Iterator[Finding]:
    """Whether it is there, and the service's alone."""
    path, place = subject.config.privacy.key or _default_key(subject), subject.place("privacy.key")
    try:
        there = path.exists()
    except PermissionError:
        there = True
    if not there:
        alone = not subject.config.kafka.servers
        remedy = "" if alone else "give each host of the site the same one, or their tokens do not join"
        yield Finding("ok" if alone else "warn", "site key", f"{path} is made at the first run", remedy, place)
        return
    try:
        read_site_key(path)
    except Problem as problem:
        yield Finding("fail", "site key", str(problem), "", place)
        return
    if path.parent != STORE and not subject.account.may("read", path):
        message = f"{path} cannot be read by {subject.account.name}"
        yield Finding("fail", "site key", message, f"chown {subject.account.name} it", place)
    else:
        yield Finding("ok", "site key", str(path))


def _default_key(subject: Subject) -> Path:
    """As the service will find it: a credential that its unit loads goes before the state folder."""
    unit = subject.account.unit
    loaded = dict(word.split(":", 1) for word in unit.words("LoadCredential") if ":" in word) if unit is not None else {}
    given = STORE / loaded.get("site.key", "")
    return given if "site.key" in loaded and given.is_file() else default_site_key()


def _size(count: int) -> str:
    return f"{count / (1 << 30):.1f} GiB" if count >= 1 << 30 else f"{count / (1 << 20):.0f} MiB"
