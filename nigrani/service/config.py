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
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, TypeVar

import msgspec

from nigrani.service.errors import BadConfig, Fault, Problem, Usage
from nigrani.service.key import CREDENTIAL, credential

if TYPE_CHECKING:
    import yaml

MAX_BYTES = 1 << 20
_PREFIX = "NIGRANI__"

_T = TypeVar("_T")
_Lines = dict[tuple[str, ...], tuple[str, int]]
"""Setting → where it is set: a file and its line, or a layer over it."""


class Loaded(NamedTuple, Generic[_T]):
    """A configuration, and where each of its settings stands."""

    config: _T
    lines: _Lines
    name: str
    """Of the file; `configuration` without one."""

    def fault(self, setting: str, message: str, remedy: str = "") -> Fault:
        """A fault of a setting such as `privacy.key`, in its line, else in that of the nearest group around it."""
        return Fault(*_spot(tuple(setting.split(".")), self.name, self.lines), message, remedy)


def load(kind: type[_T], path: Path | None, overrides: Iterable[str] = ()) -> _T:
    """The configuration of `kind`, a frozen dataclass of plain values and such dataclasses.

    path: a YAML file, or None for the defaults. overrides: `a.b=value`, the value in YAML. Raises BadConfig with all
    faults, Problem where the file cannot be read.
    """
    return load_with_lines(kind, path, overrides).config


def load_with_lines(kind: type[_T], path: Path | None, overrides: Iterable[str] = ()) -> Loaded[_T]:
    """As `load`, with the line of each setting."""
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
    return Loaded(typing.cast("_T", result), lines, name)


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
    sound = True
    for key, value in data.items():
        here = (*place, str(key))
        if key not in known:
            faults.append(_unknown(here, known, lines.get(here, spot)))
            continue
        count = len(faults)
        built = _value(hints[key], value, here, path, lines, faults)
        if len(faults) == count:
            values[key] = built
        else:  # the default of a faulty group stands in, so that what is around it is judged too
            sound = sound and dataclasses.is_dataclass(hints[key]) and not _required(known[key])
    absent = [".".join((*place, name)) for name, field in known.items() if _required(field) and name not in data]
    if absent:
        faults.append(Fault(*spot, f"missing: {', '.join(absent)}"))
    if not sound or absent:
        return None
    try:
        result = kind(**values)
    except ValueError as error:
        faults += (Fault(*_spot_of(str(text), place, path, lines), str(text)) for text in error.args)
    return result if len(faults) == before else None


def _value(hint: Any, value: Any, here: tuple[str, ...], path: str, lines: _Lines, faults: list[Fault]) -> Any:
    if dataclasses.is_dataclass(hint):
        return _build(hint, value if value is not None else {}, here, path, lines, faults)
    inner = _by_name(hint)
    if inner is not None and isinstance(value, Mapping):
        return {str(name): _build(inner, one, (*here, str(name)), path, lines, faults) for name, one in value.items()}
    return _convert(hint, value, here, path, lines, faults)


def _unknown(here: tuple[str, ...], known: Iterable[str], spot: tuple[str, int]) -> Fault:
    import difflib  # noqa: PLC0415 - as in _read

    near = difflib.get_close_matches(here[-1], list(known), n=1)
    remedy = f"did you mean {near[0]}?" if near else f"known here: {', '.join(sorted(known))}"
    return Fault(*spot, f"unknown setting {'.'.join(here)}", remedy)


def _spot(place: tuple[str, ...], path: str, lines: _Lines) -> tuple[str, int]:
    """Where a setting is set, or the nearest group around it."""
    while place and place not in lines:
        place = place[:-1]
    return lines.get(place, (path, 0))


def _spot_of(text: str, place: tuple[str, ...], path: str, lines: _Lines) -> tuple[str, int]:
    """Where what a group says of itself is meant: its first word is a setting's name as a rule, from here or from above."""
    words = tuple(text.partition(":")[0].partition(" ")[0].split("."))
    spelt = {".".join(one): one for one in lines}  # a key may have dots of its own
    named = next((spelt[one] for one in map(".".join, ((*place, *words), (*place, *words[1:]))) if one in spelt), place)
    return _spot(named, path, lines)


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
            return _path(msgspec.convert(value, str)) if value is not None else None
        return msgspec.convert(value, hint)
    except msgspec.ValidationError as error:
        remedy = f"one of {', '.join(map(str, typing.get_args(hint)))}" if typing.get_origin(hint) is Literal else ""
        faults.append(Fault(*lines.get(here, (path, 0)), f"{'.'.join(here)}: {str(error).lower()}", remedy))
    except ValueError as error:
        faults.append(Fault(*lines.get(here, (path, 0)), f"{'.'.join(here)}: {error}"))
    return None


def _path(text: str) -> Path:
    """A path, or the file of a credential. Raises ValueError where that is not there."""
    return credential(text.removeprefix(CREDENTIAL)) if text.startswith(CREDENTIAL) else Path(text)
