"""List the rules that alert, by file: level, stage, risk, what suppresses them, whose they are and until when."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from detector.commands.rules import configured, declare, folders, plain, put, put_json, sound
from nigrani.service.table import lines

if TYPE_CHECKING:
    from detector.rule import Rule

HEAD = ("file", "level", "stage", "risk", "suppressed", "owner", "expires", "title")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    declare(parser)


def run(options: argparse.Namespace) -> int:
    """List."""
    rules = sound(folders(options, configured(options))).rules
    if options.json:
        for rule in rules:
            put_json(_data(rule))
        return 0
    for line in lines(HEAD, [_row(rule) for rule in rules]):
        put(line)
    return 0


def _row(rule: Rule) -> tuple[str | int | None, ...]:
    from detector.correlation import span  # noqa: PLC0415 - only where rules are

    suppress = span(rule.suppress.seconds) if rule.suppress else None
    last = rule.expires.isoformat() if rule.expires else None
    return rule.path.stem, rule.level, rule.stage, rule.risk, suppress, rule.owner or None, last, plain(rule.title)


def _data(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "title": rule.title,
        "name": rule.name,
        "path": str(rule.path),
        "level": rule.level,
        "stage": rule.stage,
        "risk": rule.risk,
        "suppress": {"by": rule.suppress.by, "for": rule.suppress.seconds} if rule.suppress else None,
        "owner": rule.owner,
        "expires": rule.expires,
        "datasets": rule.datasets,
        "attack": rule.attack,
        "atlas": rule.atlas,
    }
