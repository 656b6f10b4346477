"""Text for eyes outside: no raw address passes, whatever a rule or a person wrote."""

from __future__ import annotations

import re

from detector.reports.document import clean

GONE = "(address removed)"
_ADDRESSES = re.compile(
    r"\d{1,3}(?:\.\d{1,3}){3}"  # IPv4, and whatever looks like it: rather too much is removed than too little
    r"|[0-9a-f:]*::[0-9a-f:.]*(?:%\w+)?"  # IPv6, cut
    r"|(?:[0-9a-f]+:){5,}[0-9a-f.]+(?:%\w+)?"  # IPv6 in full, MAC
    r"|(?:[0-9a-f]{2}-){5}[0-9a-f]{2}|[0-9a-f]{4}\.[0-9a-f]{4}\.[0-9a-f]{4}"  # MAC, as others write it
    r"|[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})*",  # e-mail
    re.IGNORECASE,
)


def redacted(text: str) -> str:
    """The text in one line, without IP, MAC and e-mail addresses; tokens stay, for a keyed hash is no address."""
    return _ADDRESSES.sub(GONE, clean(text))
