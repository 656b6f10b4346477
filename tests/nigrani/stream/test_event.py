from __future__ import annotations

import typing

import msgspec
import pytest

from nigrani.stream.event import Event
from nigrani.stream.schema import privacy_classes

CLASSES = {"address", "mac", "ae", "user", "study", "name", "domain", "word"}
OWN = {
    "event.id": "a hash of ours",
    "agent.id": "the agent's configured name",
    "nigrani.flow.id": "a hash of ours",
    "nigrani.agent.skipped": "counters that our own code names",
}
"""Text that never comes from outside, so that privacy has nothing to do to it."""


def subclasses(kind: type[Event]) -> list[type[Event]]:
    ours = [sub for sub in kind.__subclasses__() if sub.__module__.startswith("nigrani.")]
    return [kind, *(each for sub in ours for each in subclasses(sub))]


def holds_text(hint: object) -> bool:
    return hint is str or any(map(holds_text, typing.get_args(hint)))


@pytest.mark.parametrize("kind", subclasses(Event))
def test_every_text_field_has_a_privacy_class(kind: type[Event]) -> None:
    hints = typing.get_type_hints(kind, include_extras=True)
    text = {each.encode_name for each in msgspec.structs.fields(kind) if holds_text(hints[each.name])}
    classed = privacy_classes(kind)
    assert text - OWN.keys() == classed.keys()
    assert set(classed.values()) <= CLASSES


@pytest.mark.parametrize("kind", subclasses(Event))
def test_every_text_has_a_bound(kind: type[Event]) -> None:
    for each in msgspec.inspect.type_info(kind).fields:  # type: ignore[attr-defined]
        inner = each.type
        while not isinstance(inner, msgspec.inspect.StrType):
            inner = getattr(inner, "type", None) or getattr(inner, "item_type", None)
            if inner is None:
                break
        assert inner is None or inner.max_length is not None, each.name


@pytest.mark.parametrize("kind", subclasses(Event))
def test_no_two_fields_share_a_name(kind: type[Event]) -> None:
    names = [each.encode_name for each in msgspec.structs.fields(kind)]
    assert len(set(names)) == len(names)
