"""A JSON Schema (2020-12) of each dataset, by `python -m nigrani.stream.schema --write DIR`.

Descriptions are the docstrings of classes and fields; `x-privacy` is what privacy does to a text field on its way out.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import sys
import typing
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from nigrani.stream import event as event_module
from nigrani.stream.event import SCHEMA_VERSION, Event
from nigrani.stream.events import DATASETS


def schema(dataset: str) -> dict[str, Any]:
    """The schema of one dataset's events. Raises KeyError for a name that is no dataset."""
    kind = DATASETS[dataset]
    _, components = msgspec.json.schema_components([kind])
    body = components[kind.__name__]
    descriptions = _descriptions(kind)
    classes = privacy_classes(kind)
    meanings = _meanings(event_module)
    for name, part in body["properties"].items():
        privacy = classes.get(name)
        description = descriptions.get(name) or meanings.get(privacy or "")
        if description:
            part["description"] = description
        if privacy:
            part["x-privacy"] = privacy
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:nigrani:event:{dataset}:{SCHEMA_VERSION}",
        **body,
        "title": dataset,
    }


def privacy_classes(kind: type[Event]) -> dict[str, str]:
    """The privacy class of each field whose type, or whose items' type, gives one; by the field's name in JSON."""
    hints = typing.get_type_hints(kind, include_extras=True)
    found = ((field.encode_name, _privacy(hints[field.name])) for field in msgspec.structs.fields(kind))
    return {name: privacy for name, privacy in found if privacy}


def text(dataset: str) -> str:
    """The schema as its file has it."""
    return msgspec.json.format(msgspec.json.encode(schema(dataset)), indent=2).decode() + "\n"


def drift(directory: Path) -> Iterator[str]:
    """One sentence for each file of `directory` that is not what `text` gives."""
    for dataset in DATASETS:
        path = directory / f"{dataset}.json"
        if not path.exists():
            yield f"{path} is missing"
        elif path.read_text(encoding="utf-8") != text(dataset):
            yield f"{path} differs from the dataset's structure"


def _privacy(hint: Any) -> str | None:
    for part in getattr(hint, "__metadata__", ()):
        if isinstance(part, msgspec.Meta) and part.extra and "privacy" in part.extra:
            return str(part.extra["privacy"])
    return next(filter(None, map(_privacy, typing.get_args(hint))), None)


def _descriptions(kind: type[Event]) -> dict[str, str]:
    """The literal under each field, by the field's name in JSON; the class nearest to `kind` wins."""
    names = {field.name: field.encode_name for field in msgspec.structs.fields(kind)}
    found: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        if issubclass(each, Event):
            body = ast.parse(inspect.getsource(each)).body[0]
            found |= {names[name]: doc for name, doc in _documented(body) if name in names}
    return found


def _meanings(module: ModuleType) -> dict[str, str]:
    """Privacy class → the literal under the type that stands for it."""
    documented = _documented(ast.parse(inspect.getsource(module)))
    found = ((_privacy(getattr(module, name)), doc) for name, doc in documented)
    return {privacy: doc for privacy, doc in found if privacy}


def _documented(body: ast.AST) -> Iterator[tuple[str, str]]:
    """Each name that is assigned in a class or a module, with the string literal that follows it."""
    statements = getattr(body, "body", [])
    for statement, following in pairwise(statements):
        match statement, following:
            case (
                ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]),
                ast.Expr(value=ast.Constant(value=str(doc))),
            ):
                yield name, inspect.cleandoc(doc)


def main(arguments: list[str] | None = None) -> int:
    """Write the schemas, or tell which files are out of date: 0 none, 1 some."""
    parser = argparse.ArgumentParser(prog="python -m nigrani.stream.schema", description="The datasets' JSON Schemas.")
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--write", metavar="DIR", type=Path, help="write one file a dataset")
    action.add_argument("--check", metavar="DIR", type=Path, help="exit 1 where a file is not up to date")
    options = parser.parse_args(arguments)
    if options.write:
        options.write.mkdir(parents=True, exist_ok=True)
        for dataset in DATASETS:
            (options.write / f"{dataset}.json").write_text(text(dataset), encoding="utf-8")
        return 0
    faults = list(drift(options.check))
    for fault in faults:
        sys.stderr.write(f"{fault}: run python -m nigrani.stream.schema --write {options.check}\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
