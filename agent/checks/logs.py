"""Sources of log lines: whether the service may read them, and whether their lines are of the format that is said."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from agent.check import Finding, Subject, Task
from agent.log import MAX_LINE
from agent.logs import FORMATS
from agent.logs.clock import zone_named
from agent.sources.cut import cutter
from agent.sources.settings import File, Folder, Journal

SAMPLE = 262_144
"""Bytes at a file's end whose lines are tried."""


def tasks(subject: Subject) -> Iterator[Task]:
    """One for each source."""
    logs = subject.config.logs
    for name, one in logs.files.items():
        yield Task(f"log {name}", partial(file, name, one, subject))
    for name, units in logs.journal.items():
        yield Task(f"journal {name}", partial(journal, name, units, subject))
    for name, watched in logs.folders.items():
        yield Task(f"folder {name}", partial(folder, name, watched, subject))


def file(name: str, one: File, subject: Subject) -> Iterator[Finding]:
    """There, readable, and of its format."""
    about, place, path = f"log {name}", subject.place(f"logs.files.{name}.path"), Path(one.path)
    faults = list(_reach(about, path, place, subject))
    yield from faults
    if faults:
        return
    if not stat.S_ISREG(path.stat().st_mode):
        yield Finding("fail", about, f"{path} is no plain file", "name the log file itself", place)
        return
    tried, read, tells = _try(path, one)
    place = subject.place(f"logs.files.{name}.format")
    if tried and not read:
        message = f"none of the last {tried:,} lines of {path} is of the format {one.format}"
        yield Finding("warn", about, message, f"known: {', '.join(FORMATS)}", place)
    else:
        yield Finding("ok", about, f"{path}: {tells:,} facts in its last {tried:,} lines, {tried - read:,} unreadable")


def journal(name: str, one: Journal, subject: Subject) -> Iterator[Finding]:
    """The program there, and entries of the units to be seen."""
    about, place = f"journal {name}", subject.place(f"logs.journal.{name}")
    program = shutil.which(one.command[0])
    if program is None:
        remedy = "the journal is systemd's: install it, or name log files instead"
        yield Finding("fail", about, f"{one.command[0]} is not there", remedy, place)
        return
    account = subject.account
    units = [f"--unit={unit}" for unit in one.units]
    words = [*one.command[1:], "--quiet", "--lines=1", "--output=cat", "--no-pager", *units]
    done = account.run([program, *words], subject.seconds)
    if done.returncode or not done.stdout:
        said = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        message = f"no entries of {', '.join(one.units)} to be seen" + (f" ({said[:200]})" if said else "")
        remedy = f"see the units' names; {account.name} must be in the group systemd-journal"
        yield Finding("warn", about, message, remedy, place)
    else:
        yield Finding("ok", about, f"{', '.join(one.units)} can be read")


def folder(name: str, one: Folder, subject: Subject) -> Iterator[Finding]:
    """There and readable; its manifest too, where one is named."""
    about, path = f"folder {name}", Path(one.path)
    faults = list(_reach(about, path, subject.place(f"logs.folders.{name}.path"), subject))
    if not faults and not path.is_dir():
        place = subject.place(f"logs.folders.{name}.path")
        faults.append(Finding("fail", about, f"{path} is no folder", "name the folder that has the files", place))
    if one.manifest:
        faults += _reach(about, Path(one.manifest), subject.place(f"logs.folders.{name}.manifest"), subject)
    yield from faults or [Finding("ok", about, f"{path} can be read")]


def _reach(about: str, path: Path, place: str, subject: Subject) -> Iterator[Finding]:
    """Nothing where the service can read it."""
    account = subject.account
    if account.hides(path):
        remedy = "move it, or: systemctl edit nigrani-agent, [Service], ProtectHome=read-only"
        yield Finding("fail", about, f"{path} is hidden from the service", remedy, place)
    elif not path.exists():
        yield Finding("warn", about, f"{path} is not there", "it is read once it comes; see the name", place)
    elif not account.may("read", path):
        group = path.group() if path.stat().st_mode & stat.S_IRGRP else "a group that may"
        remedy = f"put {account.name} into the group {group} (SupplementaryGroups= of its unit), or give it an ACL"
        yield Finding("fail", about, f"{path} cannot be read by {account.name}", remedy, place)


def _try(path: Path, one: File) -> tuple[int, int, int]:
    """(Lines tried, lines of the format, lines that tell something)."""
    form = FORMATS[one.format](zone_named(one.zone))
    with path.open("rb") as opened:
        size = opened.seek(0, 2)
        opened.seek(max(size - SAMPLE, 0))
        data = opened.read(SAMPLE)
    cut = cutter(form.framing, MAX_LINE)
    lines = [*cut.feed(data), *cut.rest()]
    lines = lines[1:] if size > SAMPLE else lines  # the first is the end of one
    read = tells = 0
    for line in lines:
        try:
            tells += form.parse(line) is not None
        except ValueError:
            continue
        read += 1
    return len(lines), read, tells
