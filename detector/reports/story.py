"""What all reports on a case tell alike: what was seen, what was done, and how a token becomes an address again."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec
from msgspec import Struct, field

from detector.cases.case import Case, Entry, Finding
from detector.device_class import UNKNOWN as CLASS_UNKNOWN
from detector.reports.clocks import CLOCKS, both, exact, left
from detector.reports.document import UNKNOWN, Document, clean, escape

SHOWN = 40
"""Findings and acts told one by one; of the others, how many."""
REASONS = 6
"""Reasons of one finding."""
TOKENS = 100
"""As many as `agent reveal` takes at once."""
TOKEN = re.compile(r"\b(?:ip|mac|ae|user|study|name|host):[0-9a-f]{16}\b")
DONE = {
    "acknowledged": "took the case",
    "assigned": "gave it to",
    "noted": "noted",
    "closed": "closed it",
    "reopened": "opened it again",
    "suppressed": "suppressed further alerts",
    "unsuppressed": "ended a suppression",
    "step-done": "did",
    "step-undone": "took back",
    "deadline": "decided on a report",
    "reveal-asked": "asked for real values of tokens",
}
"""Acts of people; who only looked at a case did nothing about the incident."""


class _Technique(Struct):
    uid: str = ""


class _Attack(Struct):
    technique: _Technique = field(default_factory=_Technique)
    version: str = ""


class _Event(Struct):
    uid: str = ""


class _Analytic(Struct):
    uid: str = ""


class _Info(Struct):
    analytic: _Analytic = field(default_factory=_Analytic)
    attacks: list[_Attack] = field(default_factory=list)
    related_events: list[_Event] = field(default_factory=list)


class _Unmapped(Struct):
    because: list[str] = field(default_factory=list)
    about: list[str] = field(default_factory=list)
    reasons_text: list[str] = field(default_factory=list)


class _Whole(Struct):
    finding_info: _Info = field(default_factory=_Info)
    unmapped: _Unmapped = field(default_factory=_Unmapped)


class Seen(NamedTuple):
    """One finding, as a report tells it."""

    finding: Finding
    why: tuple[str, ...] = ()
    who: tuple[str, ...] = ()
    attacks: tuple[tuple[str, str], ...] = ()
    """Techniques, and the version of the matrix."""
    events: tuple[str, ...] = ()
    """Ids of the events that it rests on."""
    rule: str = ""
    """The id of the rule that told it."""


_decoder = msgspec.json.Decoder(_Whole)


def seen(findings: Iterable[Finding]) -> list[Seen]:
    """The findings in the order of time; of one that cannot be read, what the store knows."""
    return [_seen(finding) for finding in sorted(findings, key=lambda one: (one.when, one.uid))]


def _seen(finding: Finding) -> Seen:
    try:
        whole = _decoder.decode(finding.ocsf)
    except ValueError:
        return Seen(finding)
    info, told = whole.finding_info, whole.unmapped
    return Seen(
        finding,
        (*told.because, *told.reasons_text),
        tuple(told.about),
        tuple((attack.technique.uid, attack.version) for attack in info.attacks),
        tuple(event.uid for event in info.related_events),
        info.analytic.uid,
    )


def tell_clock(document: Document, case: Case, authority: str, now: datetime) -> None:
    """Where the authority's clock stands."""
    clock = CLOCKS[authority]
    deadline = next((one for one in case.deadlines if one.authority == authority), None)
    due = deadline.due if deadline else clock.due(case.detected)
    rows = [
        ("Report due", f"**{both(due)}**"),
        ("As this draft was made", f"{both(now)}: **{_standing(deadline.state if deadline else '', due, now)}**"),
        (
            "The clock",
            f"{clock.hours} hours from {clock.starts}. Taken for that: the detector's first alert, {both(case.detected)}",
        ),
        ("Laid down in", clock.source),
    ]
    if deadline and deadline.reference:
        rows.append(("Reference", escape(deadline.reference)))
    document.table(("Clock", ""), rows)


def _standing(state: str, due: datetime, now: datetime) -> str:
    if state == "sent":
        return "a report was sent already"
    if state == "not-needed":
        return "a person decided that no report is needed"
    return left(due, now)


def tell_seen(document: Document, case: Case, story: Sequence[Seen]) -> None:
    """Facts in the order of time, with their reasons."""
    if not story:
        document.paragraph(f"No finding of this case is left in the store: what was seen is {UNKNOWN}.")
        return
    if len(story) < case.findings:
        document.paragraph(f"Of {case.findings:,} findings the newest {len(story):,} were read for this draft.")
    for one in story[:SHOWN]:
        finding = one.finding
        kept = ", kept silent by a suppression" if finding.suppressed else ""
        place = f"{_device(finding)}{kept}"
        document.paragraph(f"**{exact(finding.when)}**: {escape(finding.title)} ({finding.severity}), about {place}.")
        told = [*(f"because: {escape(line)}" for line in one.why), *(f"who: {escape(line)}" for line in one.who)]
        document.bullets([*told[:REASONS], *([f"and {len(told) - REASONS} lines more"] if len(told) > REASONS else [])])
    if len(story) > SHOWN:
        _tell_rest(document, story[SHOWN:])


def _device(finding: Finding) -> str:
    kind = "" if finding.device_class == CLASS_UNKNOWN else finding.device_class
    known = [text for text in (kind, finding.zone and f"zone {finding.zone}") if text]
    aside = f" ({escape(', '.join(known))})" if known else ""
    return f"{escape(finding.device) or 'no device'}{aside}"


def _tell_rest(document: Document, rest: Sequence[Seen]) -> None:
    counts = Counter(one.finding.title for one in rest)
    devices = len({one.finding.device for one in rest})
    document.paragraph(
        f"**And {len(rest):,} findings more**, about {devices:,} devices, until {exact(rest[-1].finding.when)}; "
        "the evidence package has each:"
    )
    document.bullets(f"{count:,} × {escape(title)}" for title, count in counts.most_common(SHOWN))


def tell_done(document: Document, history: Sequence[Entry]) -> None:
    """What people did about it, by the case's history."""
    acts = [entry for entry in history if entry.action in DONE]
    if not acts:
        document.paragraph("The case's history tells of nothing yet.")
    document.bullets(
        f"{exact(entry.at)}: {escape(entry.by)} {DONE[entry.action]}{f': {escape(entry.text)}' if entry.text else ''}"
        for entry in acts[-SHOWN:]
    )
    if len(acts) > SHOWN:
        document.paragraph(f"{len(acts) - SHOWN:,} earlier acts are in the evidence package.")


def tell_tokens(document: Document, case: Case, story: Sequence[Seen], purpose: str) -> None:
    """How to write real values over tokens, on site."""
    tokens = tokens_of(case, story)
    document.paragraph(
        "Devices stand here as tokens such as `ip:0123456789abcdef`: no address leaves a hospital host. On the host of the "
        "agent that saw them, whoever holds the private key turns them back; who asked, what and why is written down first. "
        "Write the real values beside the tokens in the copy that you send."
    )
    if not tokens:
        document.paragraph("This case names no token.")
        return
    where = "--state /var/lib/nigrani --config /etc/nigrani/agent.yaml --key PRIVATE-KEY"
    document.paragraph(f"`nigrani agent reveal {where} --reason 'case {case.number}, {purpose}' {' '.join(tokens)}`")
    document.table(("Token", "Real value, written in by hand"), [(f"`{token}`", "") for token in tokens])


def tokens_of(case: Case, story: Sequence[Seen]) -> list[str]:
    """The addresses and names that the told findings hold as tokens, devices first."""
    texts = [case.device]
    for one in story[:SHOWN]:
        texts += [one.finding.device, *one.why[:REASONS], *one.who]
    found = dict.fromkeys(token for text in texts for token in TOKEN.findall(clean(text)))
    return sorted(found, key=lambda token: not token.startswith("ip:"))[:TOKENS]
