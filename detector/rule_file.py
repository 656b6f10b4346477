"""A rule file: YAML documents that remember their lines, read with hard limits for rules are pasted from anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from detector.rule import Fault

MAX_BYTES = 256 * 1024
MAX_DEPTH = 24
"""Of nested lists and maps; libyaml's time grows with the square of the depth."""
MAX_DOCUMENTS = 200
MAX_FAULTS = 50
"""Told of one file or rule; the rest is as easily found once these are mended."""

PLAIN_TAGS = frozenset(
    f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "timestamp", "seq", "map")
)
KEY_TAG = "tag:yaml.org,2002:str"


class Document:
    """One YAML document: its data, and the line of each key in it."""

    def __init__(self, path: Path, node: MappingNode, data: dict[str, object]) -> None:
        self.path = path
        self.data = data
        self._node = node

    def line(self, *keys: str | int) -> int:
        """Line of the key, or of the nearest of its parents that is there."""
        node: Node = self._node
        line = _line(node)
        for key in keys:
            found = _child(node, key)
            if found is None:
                break
            line, node = found
        return line

    def fault(self, message: str, remedy: str, *keys: str | int) -> Fault:
        """Make a fault at that key."""
        return Fault(self.path, self.line(*keys), message, remedy)


def rule_files(folder: Path) -> list[Path]:
    """Rule files in a folder, in an order that does not depend on the file system."""
    if folder.is_file():
        return [folder]
    return sorted(path for path in folder.rglob("*") if path.suffix in {".yml", ".yaml"} and path.is_file())


def read_bytes(path: Path) -> bytes:
    """Read the file, at most one byte over the limit. Raises OSError."""
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)


def documents(path: Path, content: bytes) -> tuple[list[Document], list[Fault]]:
    """Return the documents of a rule file, and what is wrong with it as YAML."""
    if len(content) > MAX_BYTES:
        return [], [Fault(path, 0, f"the file is larger than {MAX_BYTES} bytes", "split it into several files")]
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return [], [Fault(path, line, "the file is not UTF-8 text", "save it as UTF-8")]
    try:
        refusals = list(dict.fromkeys(islice(_refused_events(path, text), MAX_FAULTS)))
        return ([], refusals) if refusals else _compose(path, text)
    except yaml.YAMLError as error:
        line, problem = _problem(error, text)
        return [], [Fault(path, line, f"not YAML: {problem}", "correct the indentation or quote the value")]


def _refused_events(path: Path, text: str) -> Iterator[Fault]:
    """Yield what must not reach the composer: a few lines of aliases can stand for gigabytes."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        line = _line(event)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            yield Fault(path, line, "YAML anchors and aliases are not allowed in a rule", "write the value out")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            yield Fault(path, line, f"lists and maps nest deeper than {MAX_DEPTH}", "flatten the rule")
            return


def _compose(path: Path, text: str) -> tuple[list[Document], list[Fault]]:
    found: list[Document] = []
    faults: list[Fault] = []
    for node in yaml.compose_all(text, Loader=yaml.CSafeLoader):
        if isinstance(node, ScalarNode) and node.tag.endswith(":null"):
            continue  # an empty document, as after a trailing ---
        wrong = [Fault(path, _line(part), message, remedy) for part, message, remedy in _refused_nodes(node)]
        if not isinstance(node, MappingNode):
            wrong.append(Fault(path, _line(node), "a rule is a map of keys", "start with `title:`"))
        elif not wrong:
            try:
                data = yaml.constructor.SafeConstructor().construct_document(node)
                found.append(Document(path, node, data))
            except (ValueError, OverflowError) as error:
                wrong.append(Fault(path, _line(node), f"a value cannot be read: {error}", "quote the value"))
        faults += wrong
        if len(found) > MAX_DOCUMENTS:
            return [], [Fault(path, _line(node), f"the file has over {MAX_DOCUMENTS} rules", "split it into several files")]
    return found, faults[:MAX_FAULTS]


def _refused_nodes(node: Node) -> Iterator[tuple[Node, str, str]]:
    """Yield what YAML allows and a rule does not: other types, keys that are no text, and a key said twice."""
    if node.tag not in PLAIN_TAGS:
        yield node, f"YAML tag {node.tag} is not allowed in a rule", "write a plain value"
    if isinstance(node, SequenceNode):
        for item in node.value:
            yield from _refused_nodes(item)
    elif isinstance(node, MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, ScalarNode) or key.tag != KEY_TAG:
                yield key, "a key is not text", "quote the key"
                continue
            if key.value in seen:
                yield key, f"the key `{key.value}` is given twice", "merge the two"
            seen.add(key.value)
            yield from _refused_nodes(value)


def _child(node: Node, key: str | int) -> tuple[int, Node] | None:
    if isinstance(node, MappingNode):
        for name, value in node.value:
            if name.value == key:
                return _line(name), value
    elif isinstance(node, SequenceNode) and isinstance(key, int) and key < len(node.value):
        return _line(node.value[key]), node.value[key]
    return None


def _line(part: Node | yaml.Event) -> int:
    return part.start_mark.line + 1 if part.start_mark else 0


def _problem(error: yaml.YAMLError, text: str) -> tuple[int, str]:
    """Return the line and sentence of libyaml's complaint."""
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        return (mark.line + 1 if mark else 0), str(error.problem or error.context)
    if isinstance(error, yaml.reader.ReaderError):
        return text.count("\n", 0, error.position) + 1, f"{error.reason} (character {error.character!r})"
    return 0, str(error)
