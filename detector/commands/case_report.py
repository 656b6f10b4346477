"""Draft a case's report to CERT-In, or the intimations of the DPDP Rules, as Markdown or, with --pdf, as PDF.

What nigrani cannot know is marked TO FILL and counted at the top. It is a draft: a person checks it, completes it and sends
it. That it was made is noted in the case's history.
"""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

from detector.commands.case import configured, declare, store, who
from detector.commands.case_papers import give, tell
from nigrani.service.errors import Problem, Usage

AUTHORITIES = ("cert-in", "dpdp")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    declare(parser, number=True)
    parser.add_argument("--for", dest="authority", choices=AUTHORITIES, required=True, help="whom the report is for")
    parser.add_argument("--pdf", action="store_true", help="PDF instead of Markdown")
    parser.add_argument("--out", metavar="FILE", type=Path, help="a new file; default: standard output")


def run(options: argparse.Namespace) -> int:
    """Draft it."""
    from detector.reports import cert_in, dpdp  # noqa: PLC0415 - only once the options stand
    from detector.reports.clocks import CLOCKS, india, left  # noqa: PLC0415 - as above
    from detector.reports.document import TO_FILL  # noqa: PLC0415 - as above
    from detector.reports.dossier import gather  # noqa: PLC0415 - as above

    if options.pdf and options.out is None and sys.stdout.isatty():
        raise Usage("--pdf: name a file with --out; a terminal shows no PDF")
    config = configured(options)
    now = datetime.now(UTC)
    with store(options) as opened:
        case, findings, history = gather(opened, options.number)
        module = cert_in if options.authority == "cert-in" else dpdp
        text = module.draft(case, findings, history, config.organisation, now=now)
        content = _pdf(text, case.detected) if options.pdf else text.encode()
        give(content, options.out)
        form = "PDF" if options.pdf else "Markdown"
        opened.record(case.number, who(), "exported", f"draft for {options.authority}, {form}")
    deadline = next((one for one in case.deadlines if one.authority == options.authority), None)
    due = deadline.due if deadline else CLOCKS[options.authority].due(case.detected)
    waiting = text.count(TO_FILL)
    tell(f"draft for {options.authority}: {waiting} fields to fill; due {india(due)}, {left(due, now)}; send it yourself")
    return 0


def _pdf(text: str, when: datetime) -> bytes:
    try:
        from detector.reports.pdf import render  # noqa: PLC0415 - fonts are loaded only where a PDF is drawn
    except ModuleNotFoundError as error:
        raise Problem(f"--pdf needs {error.name}: pip install nigrani[detector]") from None
    return render(text, when)
