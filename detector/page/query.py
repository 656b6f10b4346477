"""What a list's address asks for, and addresses that ask for something else."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Annotated, Any, NamedTuple
from urllib.parse import urlencode

import msgspec

from detector.cases.case import ACTIVE, Filter

FIELDS = {
    "q": "text",
    "state": "state",
    "severity": "severity",
    "kind": "kind",
    "device": "device",
    "class": "device_class",
    "zone": "zone",
    "assignee": "assignee",
    "verdict": "verdict",
    "source": "source",
    "since": "since",
    "until": "until",
    "case": "case",
    "suppressed": "suppressed",
}
"""Name in the address → field of the filter."""
NAMES = {
    "q": "title has",
    "severity": "at least",
    "class": "device class",
    "since": "from",
    "until": "to",
}
"""How a chip calls a field that does not go by its own name."""
FINDINGS_ONLY = {"case", "suppressed"}
ALL = "all"
"""A state in the address: whatever the state."""
LONGEST = 200
LARGEST = (1 << 31) - 1
"""Number of anything; the store's own integers end, and those of an address do not."""


class Chip(NamedTuple):
    """One condition in force, and the address without it."""

    name: str
    value: str
    without: str


class Asked(NamedTuple):
    """A list's address, understood."""

    path: str
    given: dict[str, str]
    """Name → text, as it stands in the address; what is empty is not there."""
    filter: Filter
    order: str
    after: str | None

    def address(self, **changes: str) -> str:
        """The same list with other conditions, from its first page; an empty value takes one away."""
        wanted = {**self.given, **changes}
        words = urlencode({name: value for name, value in wanted.items() if value})
        return f"{self.path}?{words}" if words else self.path

    def chips(self) -> list[Chip]:
        """The conditions beside the state, which the page shows in its own way."""
        return [
            Chip(NAMES.get(name, name), value, self.address(**{name: ""}))
            for name, value in self.given.items()
            if name in FIELDS and name != "state"
        ]


def read(path: str, query: Mapping[str, str], zone: tzinfo, *, cases: bool) -> Asked:
    """What the address asks for. Raises ValueError where a value makes no sense, in a sentence."""
    given = {name: query[name].strip()[:LONGEST] for name in (*FIELDS, "order") if query.get(name, "").strip()}
    if cases:
        given = {name: value for name, value in given.items() if name not in FINDINGS_ONLY}
    values: dict[str, Any] = {}
    for name, text in given.items():
        if name in FIELDS:
            values[FIELDS[name]] = _value(name, text, zone)
    if cases and "state" not in given:
        values["state"] = ACTIVE
    if values.get("state") == ALL:
        del values["state"]
    order = given.get("order", "urgent" if cases else "newest")
    return Asked(path, given, Filter(**values), order, query.get("after") or None)


def _value(name: str, text: str, zone: tzinfo) -> Any:
    if name in {"since", "until"}:
        try:
            when = datetime.fromisoformat(text)
            return when if when.tzinfo else when.replace(tzinfo=zone)
        except ValueError:
            raise ValueError(f"{NAMES[name]}: {text!r} is no time such as 2026-11-22T10:00") from None
    if name == "case":
        try:
            return msgspec.convert(text, Annotated[int, msgspec.Meta(ge=0, le=LARGEST)], strict=False)
        except msgspec.ValidationError:
            raise ValueError(f"case: {text!r} is no number of a case") from None
    return text == "yes" if name == "suppressed" else text
