"""The header of a syslog message: RFC 5424's, and RFC 3164's as it is met with; what follows it is the message."""

from __future__ import annotations

import re
from datetime import tzinfo
from typing import NamedTuple

from agent.logs.clock import read_moment, yearless

MONTHS = {name: number for number, name in enumerate(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}
BOM = b"\xef\xbb\xbf"

_PRIORITY = re.compile(rb"<(\d{1,3})>")
_RFC5424 = re.compile(rb"1 (\S{1,64}) (\S{1,255}) (\S{1,48}) (\S{1,128}) (\S{1,32}) ")
_ELEMENT = re.compile(rb'\[[^\s=\]"]{1,64}(?: [^\s=\]"]{1,64}="(?:[^"\\\]]|\\.){0,4096}"){0,64}\]', re.DOTALL)
_RFC3164 = re.compile(rb"([A-Z][a-z]{2}) ([ \d]\d) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))? (?:(\S{1,255}) )?")


class Header(NamedTuple):
    """What a message says of itself."""

    when: int | None
    """Microseconds since the epoch, where it has a time that can be read."""
    host: str
    start: int
    """Where the message itself begins."""


def read_header(message: bytes, zone: tzinfo | None, arrival: int) -> Header:
    """The header; without one, all of it is the message. Raises ValueError where no priority begins it (RFC 3164 §4.1.1)."""
    priority = _PRIORITY.match(message)
    if priority is None or int(priority[1]) > 191:
        raise ValueError("no priority")
    start = priority.end()
    found = _RFC5424.match(message, start)
    if found:
        when = _moment(found[1], zone, arrival)
        return Header(when, _text(found[2]), _after_data(message, found.end()))
    older = _RFC3164.match(message, start)
    if older:
        return Header(_yearless(older, zone, arrival), _text(older[7] or b""), older.end())
    return Header(None, "", start)


def _after_data(message: bytes, at: int) -> int:
    """Where the structured data (RFC 5424 §6.3) and the byte order mark are over."""
    if message.startswith(b"-", at):
        at += 1
    else:
        while element := _ELEMENT.match(message, at):
            at = element.end()
    at += message.startswith(b" ", at)
    return at + len(BOM) if message.startswith(BOM, at) else at


def _moment(text: bytes, zone: tzinfo | None, arrival: int) -> int | None:
    try:
        return read_moment(text.decode("ascii", "replace"), zone, arrival)
    except ValueError:
        return None


def _yearless(found: re.Match[bytes], zone: tzinfo | None, arrival: int) -> int | None:
    clock = (int(found[3]), int(found[4]), int(found[5]), int((found[6] or b"0").ljust(6, b"0")))
    try:
        return yearless(MONTHS.get(found[1], 0), int(found[2]), clock, zone, arrival)
    except ValueError:
        return None


def _text(part: bytes) -> str:
    return "" if part == b"-" else part.decode("utf-8", "replace")
