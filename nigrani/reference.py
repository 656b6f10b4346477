"""Writes docs/reference.md from the code: commands, settings and datasets, so that it cannot drift.

`python -m nigrani.reference --write docs/reference.md`, or `--check` in its place.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import importlib
import inspect
import os
import sys
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from nigrani.cli import VERBS
from nigrani.stream.events import DATASETS
from nigrani.stream.schema import schema

ENVELOPE = """Every event has `@timestamp`, `event.id`, `event.sequence`, `event.dataset`, `agent.id`, `host.id` and \
`nigrani.count`. JSON Schemas are in `config/schema/`.
"""


def commands() -> Iterator[str]:
    """Each verb's own help."""
    os.environ["COLUMNS"] = "100"
    for verb in VERBS:
        module = importlib.import_module(verb.module)
        words = " ".join(("nigrani", *verb.words))
        parser = argparse.ArgumentParser(
            prog=words, description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        module.arguments(parser)
        yield f"### `{words}`\n\n```\n{parser.format_help().rstrip()}\n```\n"


def field_texts(kind: type) -> dict[str, str]:
    """The string that follows each field in the class's source, or its base's, joined into one line."""
    base = kind.__mro__[1]
    texts = field_texts(base) if base is not object else {}
    tree = ast.parse(inspect.getsource(kind)).body[0]
    name = ""
    for node in typing.cast("ast.ClassDef", tree).body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name = node.target.id
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and name:
            texts[name] = " ".join(str(node.value.value).split())
            name = ""
        else:
            name = ""
    return texts


def settings(kind: type, prefix: str = "") -> Iterator[str]:
    """A table row for each setting of a configuration."""
    hints = typing.get_type_hints(kind)
    texts = field_texts(kind)
    for field in dataclasses.fields(kind):
        hint = hints[field.name]
        if dataclasses.is_dataclass(hint):
            yield from settings(typing.cast("type", hint), f"{prefix}{field.name}.")
            continue
        if typing.get_origin(hint) is dict and dataclasses.is_dataclass(inner := typing.get_args(hint)[1]):
            yield f"| `{prefix}{field.name}` | `{{}}` | {texts.get(field.name, '')} |"
            yield from settings(typing.cast("type", inner), f"{prefix}{field.name}.NAME.")
            continue
        missing = "{}" if field.default_factory is not dataclasses.MISSING else "required"
        default = field.default if field.default is not dataclasses.MISSING else missing
        yield f"| `{prefix}{field.name}` | `{_shown(default)}` | {texts.get(field.name, '')} |"


def _shown(default: object) -> str:
    return "" if default is None else str(default) if not isinstance(default, tuple) else str(list(default))


def datasets() -> Iterator[str]:
    """A section for each dataset with its own fields."""
    envelope = {field.encode_name for field in msgspec.structs.fields(DATASETS["agent.status"].__mro__[1])}
    for name, kind in DATASETS.items():
        told = schema(name)["properties"]
        yield f"### `{name}`\n\n{inspect.getdoc(kind)}\n\n| field | |\n|---|---|"
        for field in msgspec.structs.fields(kind):
            if field.encode_name not in envelope:
                yield f"| `{field.encode_name}` | {_cell(told[field.encode_name])} |"
        yield ""


def _cell(told: dict[str, Any]) -> str:
    """What a field is, or at least its type."""
    text = told.get("description") or told.get("items", {}).get("description") or f"{told.get('type', 'number')}"
    return " ".join(str(text).split()).replace("|", "\\|")


def page() -> str:
    """The whole page."""
    agent: Any = importlib.import_module("agent.config").AgentConfig
    detector: Any = importlib.import_module("detector.config").DetectorConfig
    table = "| setting | default | |\n|---|---|---|"
    parts = [
        "# Reference\n\nWritten from the code by `make docs`; `make check` refuses a page that has drifted.\n",
        "## Commands\n",
        "Exit codes: 0 fine, 1 findings or a failed input, 2 usage, 78 bad configuration.\n",
        *commands(),
        "## agent.yaml\n",
        table,
        *settings(agent),
        "\n## detector.yaml\n",
        table,
        *settings(detector),
        "\nEach can also be given as `NIGRANI__group__key=value` in the environment and as `--set group.key=value`.\n",
        "Metrics are in [metrics.md](metrics.md).\n",
        "## Datasets\n",
        ENVELOPE,
        *datasets(),
    ]
    return "\n".join(parts).rstrip() + "\n"


def write_or_check(make: Callable[[], str], about: str | None) -> int:
    """What the command line of a generated page does: write it, or tell whether what is there has drifted."""
    parser = argparse.ArgumentParser(description=about)
    choice = parser.add_mutually_exclusive_group(required=True)
    choice.add_argument("--write", type=Path)
    choice.add_argument("--check", type=Path)
    options = parser.parse_args()
    if options.write:
        options.write.write_text(make(), encoding="utf-8")
        return 0
    if not options.check.exists() or options.check.read_text(encoding="utf-8") != make():
        sys.stderr.write(f"{options.check} has drifted from the code: make docs\n")
        return 1
    return 0


def main() -> int:
    """Write or check the page."""
    return write_or_check(page, __doc__)


if __name__ == "__main__":
    sys.exit(main())
