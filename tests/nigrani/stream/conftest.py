"""What several tests of the stream need."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import strategies as st
from msgspec import inspect as mi

from nigrani.stream.event import Event
from nigrani.stream.events import DATASETS

EVENT_TIMES = st.datetimes(datetime(1970, 1, 2), datetime(2199, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def values(kind: mi.Type) -> st.SearchStrategy[Any]:  # noqa: PLR0911 - a table
    """Values that a field of this type can have."""
    match kind:
        case mi.Metadata(type=inner):
            return values(inner)
        case mi.StrType():
            return st.text(max_size=min(kind.max_length or 20, 20))
        case mi.IntType():
            return st.integers(kind.ge or 0, kind.le or 2**53)
        case mi.FloatType():
            return st.floats(allow_nan=False, allow_infinity=False)
        case mi.DateTimeType():
            return EVENT_TIMES
        case mi.ListType(item_type=item):
            return st.lists(values(item), max_size=3)
        case mi.DictType(key_type=key, value_type=value):
            return st.dictionaries(values(key), values(value), max_size=3)
        case mi.UnionType(types=types):
            return st.one_of(*map(values, types))
        case mi.NoneType():
            return st.none()
    raise NotImplementedError(kind)


def events_of(kind: type[Event]) -> st.SearchStrategy[Event]:
    """Events of one dataset; a field with a default is sometimes left out."""
    info = mi.type_info(kind)
    assert isinstance(info, mi.StructType)
    required = {field.name: values(field.type) for field in info.fields if field.required}
    optional = {field.name: values(field.type) for field in info.fields if not field.required}
    fields = st.fixed_dictionaries(required, optional=optional)
    return fields.map(lambda given: msgspec.convert(kind(**given), kind, from_attributes=True))


@pytest.fixture(scope="session")
def any_event() -> st.SearchStrategy[Event]:
    """Events of all datasets."""
    return st.one_of(*map(events_of, DATASETS.values()))
