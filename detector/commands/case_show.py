"""Tell one case: how it stands, and its story in the order of time. Times are UTC."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from detector.cases.case import Case, Deadline, Entry, Filter, Finding
from detector.commands.case import declare, store
from detector.commands.rules import plain, put
from detector.device_class import UNKNOWN

WIDTH = 80
SHOWN = 60
"""Findings told one by one."""


class _Told(NamedTuple):
    when: datetime
    lines: tuple[str, ...]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    declare(parser, number=True)
    parser.add_argument("--json", action="store_true", help="JSON on standard output")


def run(options: argparse.Namespace) -> int:
    """Show."""
    with store(options) as opened:
        case = opened.case(options.number)
        if case is None:
            raise LookupError(f"there is no case {options.number}")
        listing = opened.findings(Filter(case=case.number), order="oldest", limit=SHOWN)
        whole = [found for item in listing.items if (found := opened.finding(item.uid))]
        history = opened.history(case.number)
        related = opened.related(case.number)
    if options.json:
        findings = [msgspec.Raw(found.ocsf) for found in whole]
        told: dict[str, Any] = {
            "case": case,
            "findings": findings,
            "history": history,
            "related": [one.number for one in related],
        }
        put(msgspec.json.encode(told).decode())
        return 0
    for line in (*_head(case), "", *_story(whole, history, listing.total), *_related(related)):
        put(plain(line))
    return 0


def _head(case: Case) -> Iterator[str]:
    yield f"#{case.number}  {case.severity.upper()}  {case.state}{f', {case.verdict}' if case.verdict else ''}"
    yield from _wrapped(case.title, WIDTH)
    place = ", ".join(word for word in (case.zone, case.device_class) if word not in {"", UNKNOWN})
    if case.device:
        more = f" and {case.devices - 1} more" if case.devices > 1 else ""
        yield _field("device", f"{case.device}{f' ({place})' if place else ''}{more}")
    yield _field("findings", f"{case.findings:,}{f', and {case.suppressed:,} suppressed' if case.suppressed else ''}")
    yield _field("detected", f"{case.detected:%Y-%m-%d %H:%M:%S} UTC, last event {case.last:%Y-%m-%d %H:%M:%S}")
    if case.again:
        yield _field("again", f"after #{case.again}")
    yield _field("assigned", f"to {case.assignee}" if case.assignee else "to nobody")
    now = datetime.now(UTC)
    for deadline in case.deadlines:
        yield _field("report", _report(deadline, now))


def _report(deadline: Deadline, now: datetime) -> str:
    told = f"{deadline.authority}: {deadline.state}"
    if deadline.reference:
        told += f", {deadline.reference}"
    if deadline.state not in {"undecided", "due"}:
        return told
    left = deadline.due - now
    span = _span(abs(left))
    return f"{told}, until {deadline.due:%Y-%m-%d %H:%M} ({f'{span} left' if left > timedelta() else f'{span} LATE'})"


def _span(length: timedelta) -> str:
    minutes = int(length.total_seconds()) // 60
    days, rest = divmod(minutes, 1440)
    return f"{days} d {rest // 60} h" if days else f"{rest // 60} h {rest % 60:02} min"


def _story(findings: Sequence[Finding], history: Sequence[Entry], total: int) -> Iterator[str]:
    """Findings at their own time, and what was done at its."""
    told = [_Told(found.when, tuple(_finding(found))) for found in findings]
    told += [_Told(entry.at, tuple(_entry(entry))) for entry in history]
    day = ""
    for when, lines in sorted(told, key=lambda one: one.when):
        today = when.strftime("%Y-%m-%d")
        if today != day:
            day = today
            yield day
        for number, line in enumerate(lines):
            yield f"  {when:%H:%M:%S}  {line}" if number == 0 else f"            {line}"
    if total > len(findings):
        yield f"  … and {total - len(findings):,} findings more: nigrani case export --case"


def _finding(found: Finding) -> Iterator[str]:
    mark = " (suppressed)" if found.suppressed else ""
    yield from _wrapped(f"{found.severity.upper()} {found.title}{mark}", WIDTH - 12, subsequent_indent="  ")
    try:
        unmapped = msgspec.json.decode(found.ocsf, type=dict[str, Any]).get("unmapped", {})
    except ValueError:
        return
    words = [f"{found.device}"]
    for name in ("because", "about", "reasons_text"):
        lines = unmapped.get(name)
        words += [str(line) for line in lines[:3]] if isinstance(lines, list) else []
    for word in words:
        yield from _wrapped(word, WIDTH - 12, initial_indent="  ", subsequent_indent="    ")


def _entry(entry: Entry) -> Iterator[str]:
    verdict = entry.data.get("verdict") if entry.action == "closed" else None
    text = f"· {entry.action} by {entry.by}{f' as {verdict}' if verdict else ''}{f': {entry.text}' if entry.text else ''}"
    yield from _wrapped(text, WIDTH - 12, subsequent_indent="  ")


def _related(cases: Sequence[Case]) -> Iterator[str]:
    if cases:
        yield ""
        yield "See also"
    for case in cases:
        yield textwrap.shorten(f"  #{case.number} {case.severity}, {case.state}: {case.title}", WIDTH, placeholder="…")


def _wrapped(text: str, width: int, **indents: str) -> list[str]:
    """A token is broken only where it finds no room on a line of its own."""
    return textwrap.wrap(text, width, break_on_hyphens=False, **indents)  # type: ignore[arg-type]


def _field(name: str, text: str) -> str:
    return f"  {name:<9} {text}"
