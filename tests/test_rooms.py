"""Which room may import which: agent and detector never each other, and what both stand on neither of them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = {"agent", "detector", "nigrani"}
ALLOWED = {
    "agent": ("agent", "nigrani.stream", "nigrani.service"),
    "detector": ("detector", "nigrani.stream", "nigrani.service"),
    "nigrani/stream": ("nigrani.stream",),
    "nigrani/service": ("nigrani.service",),
}
EVERYWHERE = {"nigrani.__version__"}
HEAVY = {"numpy", "pandas", "scapy", "sklearn", "scipy", "pyod", "cryptography"}
"""What the agent never loads."""
MODULES = [path for room in ALLOWED for path in sorted((ROOT / room).rglob("*.py"))]


def imported(path: Path) -> Iterator[str]:
    """Every module or name that a file imports, wherever in it."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) - node.level + 1]] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in {
            "import_module",
            "__import__",
        }:
            name = node.args[0].values[0] if isinstance(node.args[0], ast.JoinedStr) else node.args[0]
            assert isinstance(name, ast.Constant), f"{path}:{node.lineno} imports what cannot be told"
            yield str(name.value)


def room(path: Path) -> str:
    """The room that the file is in."""
    return next(name for name in ALLOWED if path.is_relative_to(ROOT / name))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_its_own_room_and_what_it_stands_on(path: Path) -> None:
    allowed = ALLOWED[room(path)]
    for name in imported(path):
        if name.split(".")[0] in OURS and name not in EVERYWHERE:
            assert any(name == one or name.startswith(f"{one}.") for one in allowed), f"{path} imports {name}"


@pytest.mark.parametrize("path", [path for path in MODULES if room(path) != "detector"], ids=lambda path: path.stem)
def test_the_agent_and_what_it_stands_on_are_light(path: Path) -> None:
    found = {name.split(".")[0] for name in imported(path)}
    if path != ROOT / "agent/commands/dissect.py":  # the deep look at one capture is scapy's
        assert found.isdisjoint(HEAVY)


def test_there_is_something_to_hold() -> None:
    assert {room(path) for path in MODULES} == set(ALLOWED)
    assert len(MODULES) > 60
