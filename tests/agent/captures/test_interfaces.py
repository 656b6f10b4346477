"""What the kernel says of interfaces."""

from __future__ import annotations

import socket

import pytest

from agent.captures.interfaces import look_up


def test_loopback() -> None:
    found = look_up("lo")
    assert found is not None
    assert (found.number, found.hardware) == (socket.if_nametoindex("lo"), 772)


def test_all_of_them_are_always_there() -> None:
    found = look_up("any")
    assert found is not None
    assert (found.number, found.is_up) == (0, True)


@pytest.mark.parametrize("name", ["", "nowhere0", "a\0b", "x" * 40, "../lo"])
def test_none_of_that_name(name: str) -> None:
    assert look_up(name) is None
