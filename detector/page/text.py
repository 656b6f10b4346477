"""What an attacker may have written, made safe to look at: it cannot turn the line around, hide in it or fill the screen."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from detector.reports.document import clean

LONGEST = 2000
_TOKEN = re.compile(r"(?:ip|mac|ae|user|study|name|host):[0-9a-f]{16}")
"""What `nigrani agent reveal` takes."""


def plain(value: Any) -> Any:
    """For every value that a template shows: what cannot be seen, or turns the line around, is seen as its code point."""
    if type(value) is not str or (value.isascii() and value.isprintable() and len(value) <= LONGEST):
        return value  # markup of our own is of a class of its own
    return "\n".join(clean(line, LONGEST) for line in value[: 5 * LONGEST].splitlines())


def short(token: str) -> str:
    """A device's token cut to what tells it apart at a glance: `ip:cd9d8c9c…`."""
    if _TOKEN.fullmatch(token):
        kind, _, digits = token.partition(":")
        return f"{kind}:{digits[:8]}…"
    return token if len(token) <= 24 else f"{token[:23]}…"


def is_token(text: str) -> bool:
    """Whether it is a token that can be revealed."""
    return _TOKEN.fullmatch(text) is not None


def tokens(texts: Iterable[str]) -> list[str]:
    """Every token in some texts, each once, in their order."""
    return list(dict.fromkeys(match[0] for text in texts for match in _TOKEN.finditer(text)))
