"""What the verbs of the case store have in common."""

from __future__ import annotations

import argparse
import contextlib
import os
import pwd
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from detector.cases.case import ACTIVE, SEVERITIES, STATES, VERDICTS, Case, Filter
from detector.cases.store import Store
from detector.commands.rules import plain
from detector.config import DetectorConfig
from detector.setup import case_path
from nigrani.service.config import load
from nigrani.service.duration import duration
from nigrani.service.errors import Problem, Usage

CONFIG, STATE = Path("/etc/nigrani/detector.yaml"), Path("/var/lib/nigrani")
GIVEN = Path("/run/credentials/nigrani-detector.service")
"""Of the packaged service; the last are its secrets, while it runs."""
HEAD = ("case", "severity", "state", "last", "findings", "devices", "assignee", "title")
TITLE = 60
"""Characters of a title in a table."""


def declare(parser: argparse.ArgumentParser, *, number: bool = False) -> None:
    """Declare where the store is, and, where it is about one, which case."""
    if number:
        parser.add_argument("number", metavar="NUMBER", type=int, help="the case's")
    parser.add_argument("--store", metavar="FILE", type=Path, help="the case store; default: that of the configuration")
    parser.add_argument("--config", metavar="FILE", type=Path, help="detector.yaml")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="override one setting")


def declare_filter(parser: argparse.ArgumentParser, *, state: str = "") -> None:
    """Declare what is asked for."""
    parser.add_argument("--state", choices=(*STATES, ACTIVE, "any"), default=state or "any", help="how a case stands")
    parser.add_argument("--severity", choices=SEVERITIES, default="", help="at least")
    parser.add_argument("--verdict", choices=VERDICTS, default="", help="how it ended")
    for name, text in (
        ("kind", "kind of finding: a rule's file or an anomaly's slug; pipeline for trouble of our own"),
        ("device", "device, by its token"),
        ("device-class", "class of the device"),
        ("zone", "zone of the device"),
        ("assignee", "who has it"),
        ("text", "part of the title"),
    ):
        parser.add_argument(f"--{name}", metavar=name.upper(), default="", help=text)
    parser.add_argument(
        "--since", metavar="TIME", type=moment, help="from then on: 2026-11-22, 2026-11-22T10:00, or 7d ago as 7d"
    )
    parser.add_argument("--until", metavar="TIME", type=moment, help="before then")


def asked(options: argparse.Namespace) -> Filter:
    """What `declare_filter` has taken."""
    state = "" if options.state == "any" else options.state
    return Filter(
        state=state,
        severity=options.severity,
        kind=options.kind,
        device=options.device,
        device_class=options.device_class,
        zone=options.zone,
        assignee=options.assignee,
        since=options.since,
        until=options.until,
        text=options.text,
        verdict=options.verdict,
    )


def moment(text: str) -> datetime:
    """A day, a time (UTC unless it says otherwise), or so long ago. Raises ValueError."""
    try:
        return datetime.now(UTC) - timedelta(seconds=duration(text))
    except ValueError:
        when = datetime.fromisoformat(text)
        return when if when.tzinfo else when.replace(tzinfo=UTC)


def configured(options: argparse.Namespace) -> DetectorConfig:
    """The detector's configuration; where nothing is named, the packaged service's, and its state, for who may write it."""
    state = os.environ.get("NIGRANI_STATE") or str(STATE)
    here = state == str(STATE) and not getattr(options, "store", None) and options.config in {None, CONFIG}
    if here and os.access(CONFIG, os.R_OK) and os.access(STATE, os.W_OK):
        options.config = CONFIG
        os.environ["NIGRANI_STATE"] = str(STATE)
        if os.access(GIVEN, os.R_OK | os.X_OK):
            os.environ.setdefault("CREDENTIALS_DIRECTORY", str(GIVEN))
    return load(DetectorConfig, options.config, options.set)


@contextlib.contextmanager
def store(options: argparse.Namespace) -> Iterator[Store]:
    """The store. Raises Problem where there is none, and for whatever it refuses inside."""
    config = configured(options)
    path = options.store or case_path(config)
    if not path.exists():
        hint = f"; the service's, in {STATE}, is for root and the service's user" if STATE.exists() else ""
        raise Problem(
            f"there is no case store {path}: name it with --store, or the detector's configuration with --config{hint}"
        )
    opened = Store(path, retention_days=config.cases.retention_days)
    try:
        yield opened
    except LookupError as error:
        raise Problem(str(error.args[0])) from None
    except ValueError as error:
        raise Usage(str(error)) from None
    except sqlite3.Error as error:
        raise Problem(f"case store {path}: {error}") from None
    finally:
        opened.close_store()


def who() -> str:
    """Whose doing it is, for the history: of root behind sudo, who called it; anybody else might say so of anybody."""
    uid = os.getuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    caller = os.environ.get("SUDO_USER") if uid == 0 else None
    return f"terminal:{caller or name}"


def row(case: Case) -> tuple[str | int | None, ...]:
    """A case in a table under HEAD."""
    title = plain(case.title)
    return (
        case.number,
        case.severity,
        case.state,
        case.last.strftime("%Y-%m-%d %H:%M"),
        case.findings,
        case.devices,
        plain(case.assignee) or None,
        title if len(title) <= TITLE else f"{title[: TITLE - 1]}…",
    )
