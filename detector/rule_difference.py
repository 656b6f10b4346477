"""Two sets of rules beside each other: what came, what went, and what of each rule changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from detector.rule_join import Draft
from detector.rule_loader import Loader

MAX_TEXT = 120
HEADS = ("level", "stage", "risk", "suppress", "expires", "owner")
"""What an override may have changed, though the files are the same."""


class Difference(NamedTuple):
    """One rule that is not the same in both."""

    kind: str
    """added, removed or changed."""
    key: str
    """The rule's id or name, or its title where it has neither."""
    title: str
    changes: tuple[tuple[str, str, str], ...] = ()
    """Keys, before and after; empty text where there was nothing."""


def differences(old: Loader, new: Loader) -> list[Difference]:
    """What differs, by title."""
    before, after = _by_key(old), _by_key(new)
    found = [Difference("removed", key, before[key].rule.title) for key in before.keys() - after.keys()]
    found += [Difference("added", key, after[key].rule.title) for key in after.keys() - before.keys()]
    for key in before.keys() & after.keys():
        changes = tuple(_changes(before[key], after[key]))
        if changes:
            found.append(Difference("changed", key, after[key].rule.title, changes))
    return sorted(found, key=lambda one: (one.title, one.kind))


def _by_key(loader: Loader) -> dict[str, Draft]:
    return {draft.rule.id or draft.rule.name or draft.rule.title: draft for draft in loader.drafts}


def _changes(old: Draft, new: Draft) -> Iterator[tuple[str, str, str]]:
    before, after = dict(_leaves(old.document.data)), dict(_leaves(new.document.data))
    for key in sorted(before.keys() | after.keys()):
        if before.get(key) != after.get(key):
            yield key, before.get(key, ""), after.get(key, "")
    for head in HEADS:
        one, other = getattr(old.rule, head), getattr(new.rule, head)
        if one != other and not any(key.endswith(head) or f"{head}." in key for key in before.keys() | after.keys()):
            yield head, _text(one), _text(other)


def _leaves(data: object, place: str = "") -> Iterator[tuple[str, str]]:
    """Each value that stands in a document, under its dotted place; lists as one."""
    if isinstance(data, Mapping) and data:
        for key, value in data.items():
            yield from _leaves(value, f"{place}.{key}" if place else str(key))
    else:
        yield place, _text(data)


def _text(value: object) -> str:
    text = " ".join(str("" if value is None else value).split())
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"
