"""CERT-In's incident types, and which of them a kind of alert points at: a table, `config/reports/incident_types.yaml`."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import yaml

from nigrani.service.data import data_folder

TABLE = Path("reports", "incident_types.yaml")
"""In the folder of the configuration."""


class Types(NamedTuple):
    """The table."""

    words: dict[str, str]
    """Roman number → what CERT-In calls it, in the form's order."""
    kinds: dict[str, tuple[str, ...]]
    """Kind of alert → roman numbers."""


class Proposal(NamedTuple):
    """What the kinds of a case point at."""

    numbers: dict[str, tuple[str, ...]]
    """Roman number, in the form's order → the kinds that speak for it."""
    unknown: tuple[str, ...]
    """Kinds that the table does not have, or for which it has no number."""


@cache
def table() -> Types:
    """The table, read once."""
    data = yaml.safe_load((data_folder("config") / TABLE).read_bytes())
    kinds = {kind: tuple(numbers) for folder in data["kinds"].values() for kind, numbers in folder.items()}
    return Types(data["types"], kinds)


def propose(kinds: Iterable[str]) -> Proposal:
    """The types for a case of these kinds."""
    types = table()
    asked = tuple(dict.fromkeys(kinds))
    speaking = {number: tuple(kind for kind in asked if number in types.kinds.get(kind, ())) for number in types.words}
    return Proposal(
        {number: for_it for number, for_it in speaking.items() if for_it},
        tuple(kind for kind in asked if not types.kinds.get(kind)),
    )
