"""Look for everything that would go wrong if the agent were started now, without changing anything.

The configuration with all its faults, rights, interfaces, log files, certificates, disk, ports, clock, and, unless
--offline, the way to Kafka. Run as root, it judges the rights of the user that the systemd unit names. Exit code 0 where
nothing is at fault (there may be warnings), 1 where the machine or the network is, 78 where the configuration is.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from agent.check import Finding, Subject, exit_code, findings, of_fault
from agent.commands.run import read
from nigrani.service.errors import BadConfig, Problem
from nigrani.service.plural import plural

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

COLORS = {"ok": "32", "warn": "33", "fail": "31"}
DEFAULT = Path("/etc/nigrani/agent.yaml")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("--config", metavar="FILE", type=Path, help=f"agent.yaml; default: {DEFAULT}, where it is there")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="override one setting")
    parser.add_argument("--offline", action="store_true", help="ask nobody: only what this machine can tell")
    parser.add_argument("--timeout", metavar="SECONDS", type=_seconds, default=5.0, help="for all of it (default: 5)")
    parser.add_argument("--quiet", action="store_true", help="tell faults alone")
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(options: argparse.Namespace) -> int:
    """Find, tell, and say how it stands by the exit code."""
    if options.config is None and DEFAULT.exists():
        options.config = DEFAULT
    found: list[Finding] = []
    shown = _Shown(json=options.json, quiet=options.quiet)
    for finding in find(options):
        found.append(finding)
        shown.tell(finding)
    shown.end(found)
    return exit_code(found)


def find(options: argparse.Namespace) -> Iterator[Finding]:
    """All findings, as they come."""
    try:
        loaded = read(options)
    except BadConfig as bad:
        yield from map(of_fault, bad.faults)
        return
    except Problem as problem:
        yield Finding("fail", "configuration", str(problem), "see --config")
        return
    from agent.account import account  # noqa: PLC0415 - only once there is a configuration
    from agent.checks import tasks  # noqa: PLC0415 - as above
    from agent.reading import running  # noqa: PLC0415 - as above

    who = account(options.config)
    if who.unit is not None and "NIGRANI_STATE" not in os.environ and (name := who.unit.last("StateDirectory")):
        os.environ.setdefault("STATE_DIRECTORY", f"/var/lib/{name.split()[0]}")
    yield Finding("ok", "configuration", str(options.config or "the defaults"))
    subject = Subject(loaded, who, options.timeout, running(loaded.config.metrics))
    yield from findings(list(tasks(subject, offline=options.offline)), options.timeout)


class _Shown:
    """A line for each finding, or one JSON object at the end."""

    def __init__(self, *, json: bool, quiet: bool) -> None:
        self._json = json
        self._quiet = quiet
        self._colored = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

    def tell(self, finding: Finding) -> None:
        """Show one."""
        if self._json or (self._quiet and finding.level != "fail"):
            return
        level = f"{finding.level:4}"
        if self._colored:
            level = f"\x1b[{COLORS[finding.level]}m{level}\x1b[0m"
        aside = ": ".join(part for part in (finding.place if finding.level != "ok" else "", finding.remedy) if part)
        line = f"{finding.about:24}  {finding.message}" + (f" ({aside})" if aside else "")
        sys.stdout.write(f"{level}  {_clean(line)}\n")
        sys.stdout.flush()

    def end(self, found: Sequence[Finding]) -> None:
        """Show what there is only now."""
        if self._json:
            kept = [{key: value for key, value in finding._asdict().items() if key != "code"} for finding in found]
            json.dump({"exit": exit_code(found), "findings": kept}, sys.stdout, ensure_ascii=False)
            sys.stdout.write("\n")
            return
        if self._quiet:
            return
        faults, warnings = (sum(finding.level == level for finding in found) for level in ("fail", "warn"))
        fine = len(found) - faults - warnings
        sys.stderr.write(f"nigrani: {plural(faults, 'fault')}, {plural(warnings, 'warning')}, {fine} fine\n")


def _clean(line: str) -> str:
    """What a file's name or a server says must not reach the terminal as a command."""
    return "".join(letter if letter.isprintable() else "�" for letter in line)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0.1 <= seconds <= 600:
        raise argparse.ArgumentTypeError("from 0.1 to 600 seconds")
    return seconds
