"""Rules by hand, for the tests that need whole files."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import yaml

from detector.rule_loader import Loader

CFIND = {"sel": {"event.action": "c-find"}, "condition": "sel"}
DICOM = {"product": "healthcare", "service": "dicom"}


def identity(name: str) -> str:
    """The id of the rule of that name."""
    return str(uuid5(NAMESPACE_URL, name))


def rule(name: str = "query", **changes: Any) -> dict[str, Any]:
    """A sound rule on C-FIND; a change to None takes a key out."""
    plain = {"title": f"Title of {name}", "id": identity(name), "name": name, "level": "high"}
    whole = plain | {"logsource": DICOM, "detection": CFIND} | changes
    return {key: value for key, value in whole.items() if value is not None}


def counting(name: str = "burst", **changes: Any) -> dict[str, Any]:
    """A sound correlation that counts `query` by device: more than two within a minute. Keys of its own go as they are."""
    plain = {"type": "event_count", "rules": ["query"], "group-by": ["host.id"], "timespan": "1m", "condition": {"gt": 2}}
    own = {key: value for key, value in changes.items() if key in {"custom", "level", "id", "title"}}
    changed = {key.replace("_", "-"): value for key, value in changes.items() if key not in own}
    inner = {key: value for key, value in (plain | changed).items() if value is not None}
    return rule(name, logsource=None, detection=None, correlation=inner, **own)


class _Plain(yaml.SafeDumper):
    """Without aliases, which rules may not have."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def write(path: Path, *documents: dict[str, Any]) -> Path:
    """One file of them."""
    path.write_text(yaml.dump_all(documents, Dumper=_Plain, sort_keys=False), encoding="utf-8")
    return path


def load(folder: Path, *documents: dict[str, Any]) -> Loader:
    """The loader of a folder with one file of them."""
    write(folder / "rules.yml", *documents)
    return Loader([folder])


def told(loader: Loader) -> list[str]:
    """Its faults, without where."""
    return [fault.message for fault in loader.faults]
