"""The fields a rule may name: the wire names of each dataset's events, and what the detector adds beside an event."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from enum import Enum, auto
from functools import cache

import msgspec
from msgspec.inspect import (
    BoolType,
    DateTimeType,
    DictType,
    FloatType,
    IntType,
    ListType,
    Metadata,
    NoneType,
    StrType,
    StructType,
    Type,
    UnionType,
    VarTupleType,
)

from detector.rule import Extra, Known, RefusedError
from nigrani.stream.event import Event
from nigrani.stream.events import DATASETS

PRODUCT = "healthcare"
"""`logsource.product` of our rules; may be left out."""

SERVICES = {
    "flow": "network.flow",
    "dns": "network.dns",
    "session": "network.session",
    "dicom": "dicom.association",
    "dicom_audit": "dicom.audit",
    "hl7": "hl7.message",
    "fhir": "fhir.interaction",
    "ai_inference": "ai.inference",
    "ai_training": "ai.training",
    "ai_model_access": "ai.model_access",
    "agent": "agent.status",
}
"""`logsource.service` → dataset."""


class Kind(Enum):
    """What a field holds, and so which tests it can have."""

    TEXT = auto()
    NUMBER = auto()
    BOOLEAN = auto()
    OTHER = auto()
    """A time or a map: no Sigma test reads it."""


class Field(msgspec.Struct, frozen=True):
    """One field as a rule sees it."""

    name: str
    """On the wire, and in a rule."""
    owner: str
    """`event` or `extra`: the parameter of the generated function that holds it."""
    attribute: str
    kind: Kind
    many: bool = False
    optional: bool = False

    @property
    def access(self) -> str:
        """Python source that reads it; made of our own names only."""
        source = f"{self.owner}.{self.attribute}"
        return f"({source} or '')" if self.optional and self.kind is Kind.TEXT else source

    def get(self, event: Event, extra: Known) -> object:
        """Its value."""
        return getattr(event if self.owner == "event" else extra, self.attribute)


@cache
def fields(dataset: str) -> dict[str, Field]:
    """Wire name → field, for a rule on this dataset."""
    return event_fields(DATASETS[dataset])


def event_fields(event: type[Event]) -> dict[str, Field]:
    """Wire name → field of that structure, and the fields that the detector adds."""
    found = _fields(event, "event", {})
    return found | _fields(Extra, "extra", {"new": "nigrani.new"})


def field_named(name: str, known: Mapping[str, Field]) -> Field:
    """Find a field. Raises RefusedError with the nearest name where there is none."""
    field = known.get(name)
    if field is not None:
        return field
    services = [service for service, dataset in SERVICES.items() if name in fields(dataset)]
    remedy = f"it is a field of service {services[0]}" if services else nearest(name, known)
    raise RefusedError(f"unknown field `{name}`", remedy)


def nearest(word: str, known: Iterable[str]) -> str:
    """Say what was perhaps meant, as a remedy."""
    candidates = sorted(known)
    near = difflib.get_close_matches(word, candidates, n=1)
    return f"did you mean `{near[0]}`?" if near else "use one of: " + ", ".join(candidates[:40])


def _fields(structure: type[msgspec.Struct], owner: str, names: dict[str, str]) -> dict[str, Field]:
    described = msgspec.inspect.type_info(structure)
    assert isinstance(described, StructType)  # noqa: S101 type_info of a Struct is one; tells mypy
    named = [(names.get(part.encode_name, part.encode_name), part) for part in described.fields]
    return {name: _field(name, owner, part.name, part.type) for name, part in named}


def _field(name: str, owner: str, attribute: str, described: Type) -> Field:
    kind = _bare(described)
    optional = many = False
    if isinstance(kind, UnionType):
        present = [part for part in kind.types if not isinstance(part, NoneType)]
        optional = len(present) < len(kind.types)
        kind = _bare(present[0])
    if isinstance(kind, ListType | VarTupleType):
        many, kind = True, _bare(kind.item_type)
    return Field(name, owner, attribute, _kind(kind), many, optional)


def _bare(described: Type) -> Type:
    return described.type if isinstance(described, Metadata) else described


def _kind(kind: Type) -> Kind:
    if isinstance(kind, StrType):
        return Kind.TEXT
    if isinstance(kind, IntType | FloatType):
        return Kind.NUMBER
    if isinstance(kind, BoolType):
        return Kind.BOOLEAN
    if isinstance(kind, DateTimeType | DictType):
        return Kind.OTHER
    raise TypeError(f"rules cannot read a field of type {kind}")
