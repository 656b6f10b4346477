"""Stands in for the `cython` module where a module runs interpreted: types mean nothing, decorators do nothing."""

from __future__ import annotations

from typing import Any, TypeVar

compiled = False
_T = TypeVar("_T")


def _same(thing: _T) -> _T:
    return thing


cclass = cfunc = inline = ccall = final = _same


def exceptval(*_args: object, **_kwargs: object) -> Any:
    """Nothing to declare when interpreted."""
    return _same


def cast(_kind: object, value: _T) -> _T:
    """The value itself: an interpreted integer has every width."""
    return value


def address(_place: object) -> Any:
    """Never called when interpreted: no variable has an address."""
    raise NotImplementedError


def declare(_kind: object = None, value: object = None, **_kwargs: object) -> Any:
    """The value itself."""
    return value


def _directive(*_args: object, **_kwargs: object) -> Any:
    return _same


boundscheck = wraparound = cdivision = nonecheck = locals = returns = _directive  # noqa: A001 - Cython's own name

Py_ssize_t = p_uchar = uchar = ushort = uint = int = long = longlong = ulonglong = bint = double = const = object  # noqa: A001 - Cython's own names
