"""A checkpoint comes back whole or not at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.checkpoint import Checkpoint, pack, unpack

ONE = Checkpoint(next=7, told=3, state=b"what it knows")


def test_it_comes_back() -> None:
    assert unpack(pack(ONE)) == ONE


@given(st.data())
def test_a_damaged_one_is_none(data: st.DataObject) -> None:
    packed = bytearray(pack(ONE))
    at = data.draw(st.integers(0, len(packed) - 1))
    packed[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ValueError, match="no checkpoint, or a damaged one"):
        unpack(bytes(packed))


@given(st.binary(max_size=200))
def test_bytes_are_a_checkpoint_or_a_value_error(data: bytes) -> None:
    for candidate in (data, pack(ONE)[: len(data)], pack(ONE) + data[1:]):
        try:
            assert unpack(candidate) == ONE
        except ValueError:
            continue
