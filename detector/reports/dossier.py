"""All that a report needs of one case, out of the store."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from detector.cases.case import Case, Entry, Filter, Finding

if TYPE_CHECKING:
    from detector.cases.store import Store

PAGE = 500
MAX_FINDINGS = 50_000
"""Of one case, the newest; the case itself says how many there are."""


class Dossier(NamedTuple):
    """A case, its findings whole and in the order of time, and its history."""

    case: Case
    findings: list[Finding]
    history: list[Entry]


def gather(store: Store, number: int, most: int = MAX_FINDINGS) -> Dossier:
    """Read them. Raises LookupError where there is no such case."""
    case = store.case(number)
    if case is None:
        raise LookupError(f"there is no case {number}")
    findings = sorted(islice(_findings(store, number), most), key=lambda one: (one.when, one.uid))
    return Dossier(case, findings, store.history(number))


def _findings(store: Store, number: int) -> Iterator[Finding]:
    after: str | None = None
    while True:
        page = store.findings(Filter(case=number), limit=PAGE, after=after)
        for item in page.items:
            whole = store.finding(item.uid)
            if whole is not None:
                yield whole
        after = page.after
        if after is None:
            return
