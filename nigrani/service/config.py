"""Configuration: YAML into frozen dataclasses, with every fault of a file told at once.

Layers, each over the one before: the dataclass's defaults, the file, the environment (`NIGRANI__meter__capacity=4096`),
the command line (`--set meter.capacity=4096`). An unknown key is a fault.
"""

from __future__ import annotations

import dataclasses
import os
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from nigrani.service.errors import BadConfig, Fault, Problem, Usage

if TYPE_CHECKING:
    import yaml

MAX_BYTES = 1 << 20
_PREFIX = "NIGRANI__"

_T = TypeVar("_T")
_Lines = dict[tuple[str, ...], tuple[str, int]]
"""Setting → where it is set: a file and its line, or a layer over it."""


def load(kind: type[_T], path: Path | None, overrides: Iterable[str] = ()) -> _T:
    """The configuration of `kind`, a frozen dataclass of plain values and such dataclasses.

    path: a YAML file, or None for the defaults. overrides: `a.b=value`, the value in YAML. Raises BadConfig with all
    faults, Problem where the file cannot be read.
    """
    lines: _Lines = {}
    faults: list[Fault] = []
    data = _read(path, lines, faults) if path else {}
    name = str(path) if path else "configuration"
    layers = [
        *(
            (f"environment {key}", key[len(_PREFIX) :].split("__"), value)
            for key, value in sorted(os.environ.items())
            if key.startswith(_PREFIX)
        ),
        *(_override(text) for text in overrides),
    ]
    for where, keys, text in layers:
        _put(data, keys, text, where, lines, faults)
    result = _build(kind, data, (), name, lines, faults)
    if faults:
        raise BadConfig(faults)
    return typing.cast("_T", result)


def _read(path: Path, lines: _Lines, faults: list[Fault]) -> dict[str, Any]:
    import yaml  # noqa: PLC0415 - loaded only where there is a file: an agent's start is counted in milliseconds

    try:
        text = path.read_bytes()
    except OSError as error:
        raise Problem(f"{path}: {error.strerror or error}") from None
    if len(text) > MAX_BYTES:
        raise BadConfig([Fault(str(path), 0, f"{len(text)} bytes are no configuration", f"at most {MAX_BYTES}")])
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is None:
            return {}
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
            raise BadConfig([Fault(str(path), 0, "YAML aliases (*name) are not taken", "write the value out")])
        _lines_of(node, (), str(path), lines, faults)
        data = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise BadConfig([Fault(str(path), line, f"not YAML: {error.problem}")]) from None
    except (yaml.YAMLError, UnicodeError, ValueError, RecursionError) as error:
        raise BadConfig([Fault(str(path), 0, f"not YAML: {str(error).splitlines()[0]}")]) from None
    if not isinstance(data, dict):
        raise BadConfig([Fault(str(path), 1, "a configuration is a mapping of keys to values")])
    return data


def _lines_of(node: yaml.Node, place: tuple[str, ...], path: str, lines: _Lines, faults: list[Fault]) -> None:
    import yaml  # noqa: PLC0415 - as in _read

    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*place, str(key.value))
            line = key.start_mark.line + 1
            if here in lines:
                faults.append(Fault(path, line, f"{'.'.join(here)} is set already in line {lines[here][1]}"))
            lines[here] = path, line
            _lines_of(value, here, path, lines, faults)


def _override(text: str) -> tuple[str, list[str], str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise Usage(f"--set {text}: a setting is written key=value")
    return f"--set {key}", key.split("."), value


def _put(data: dict[str, Any], keys: list[str], text: str, where: str, lines: _Lines, faults: list[Fault]) -> None:
    import yaml  # noqa: PLC0415 - as in _read

    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        faults.append(Fault(where, 0, f"{text!r} is no value"))
        return
    for depth in range(1, len(keys)):
        lines.setdefault(tuple(keys[:depth]), (where, 0))
    lines[tuple(keys)] = where, 0
    for key in keys[:-1]:
        inner = data.setdefault(key, {})
        if not isinstance(inner, dict):
            inner = data[key] = {}
        data = inner
    data[keys[-1]] = value


def _build(kind: Any, data: Any, place: tuple[str, ...], path: str, lines: _Lines, faults: list[Fault]) -> Any:
    before = len(faults)
    spot = lines.get(place, (path, 0))
    if not isinstance(data, Mapping):
        faults.append(Fault(*spot, f"{'.'.join(place)} is a group of settings, not one value"))
        return None
    hints = typing.get_type_hints(kind)
    known = {field.name: field for field in dataclasses.fields(kind)}
    values: dict[str, Any] = {}
    for key, value in data.items():
        here = (*place, str(key))
        if key not in known:
            import difflib  # noqa: PLC0415 - as in _read

            near = difflib.get_close_matches(str(key), known, n=1)
            remedy = f"did you mean {near[0]}?" if near else f"known here: {', '.join(sorted(known))}"
            faults.append(Fault(*lines.get(here, spot), f"unknown setting {'.'.join(here)}", remedy))
        elif dataclasses.is_dataclass(hints[key]):
            values[key] = _build(hints[key], value if value is not None else {}, here, path, lines, faults)
        elif (inner := _by_name(hints[key])) is not None and isinstance(value, Mapping):
            values[key] = {
                str(name): _build(inner, one, (*here, str(name)), path, lines, faults) for name, one in value.items()
            }
        else:
            values[key] = _convert(hints[key], value, here, path, lines, faults)
    absent = [".".join((*place, name)) for name, field in known.items() if _required(field) and name not in data]
    if absent:
        faults.append(Fault(*spot, f"missing: {', '.join(absent)}"))
    if len(faults) > before:
        return None
    try:
        return kind(**values)
    except ValueError as error:
        faults.append(Fault(*spot, str(error)))
    return None


def _by_name(hint: Any) -> Any:
    """The dataclass of a `dict[str, dataclass]`; None for any other type."""
    arguments = typing.get_args(hint)
    found = arguments[1] if typing.get_origin(hint) is dict else None
    return found if dataclasses.is_dataclass(found) else None


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _convert(hint: Any, value: Any, here: tuple[str, ...], path: str, lines: _Lines, faults: list[Fault]) -> Any:
    try:
        if hint == Path | None or hint is Path:
            return Path(msgspec.convert(value, str)) if value is not None else None
        return msgspec.convert(value, hint)
    except msgspec.ValidationError as error:
        faults.append(Fault(*lines.get(here, (path, 0)), f"{'.'.join(here)}: {str(error).lower()}"))
        return None
