"""The fields a rule may name: the wire names of each dataset's events, and what the detector adds beside an event."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
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

from detector.device_class import CLASSES
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
    TIME = auto()
    """Read by its parts: hour, day, …"""
    OTHER = auto()
    """A map: no Sigma test reads it."""


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
    def closed(self) -> Collection[str]:
        """The only values it may have, in lower case; empty where any text may be."""
        return CLASSES if self.owner == "extra" and self.name.endswith(".class") else ()

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
    return _fields(event, "event") | _fields(Extra, "extra")


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


def _fields(structure: type[msgspec.Struct], owner: str) -> dict[str, Field]:
    described = msgspec.inspect.type_info(structure)
    assert isinstance(described, StructType)  # noqa: S101 type_info of a Struct is one; tells mypy
    return {part.encode_name: _field(part.encode_name, owner, part.name, part.type) for part in described.fields}


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
    if isinstance(kind, DateTimeType):
        return Kind.TIME
    if isinstance(kind, DictType):
        return Kind.OTHER
    raise TypeError(f"rules cannot read a field of type {kind}")
