"""Tests mirror the tree: every module has its twin, and every twin its module."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("agent", "detector", "nigrani")
EXEMPT = {
    "agent/_interpreted.py",  # every test of the interpreted form runs through it
    "agent/commands/run.py",  # end to end, as the commands below
    "detector/commands/run.py",
    "detector/commands/score.py",
    "detector/commands/train.py",
    "nigrani/commands/labels.py",
    "nigrani/commands/replay.py",
    "nigrani/commands/up.py",
}
DECLARATIONS = Path("nigrani/stream/events")
"""One structure a file and nothing to run; tests/nigrani/stream/test_events.py goes over all of them."""
MODULES = [
    path.relative_to(ROOT) for room in ROOMS for path in sorted((ROOT / room).rglob("*.py")) if path.name != "__init__.py"
]
TWINS = [path.relative_to(ROOT / "tests") for room in ROOMS for path in sorted((ROOT / "tests" / room).rglob("test_*.py"))]


TESTED = [path for path in MODULES if path.as_posix() not in EXEMPT and path.parent != DECLARATIONS]


@pytest.mark.parametrize("module", TESTED, ids=str)
def test_a_module_has_its_twin(module: Path) -> None:
    twin = Path("tests") / module.with_name(f"test_{module.name}")
    assert (ROOT / twin).is_file(), f"{module} has no {twin}"


@pytest.mark.parametrize("twin", TWINS, ids=str)
def test_a_twin_has_its_module(twin: Path) -> None:
    name = twin.stem.removeprefix("test_")
    module = ROOT / twin.with_name(f"{name}.py")
    package = ROOT / twin.parent / name / "__init__.py"
    assert module.is_file() or package.is_file(), f"tests/{twin} tests nothing"


def test_no_exemption_outlives_its_module() -> None:
    assert {path for path in EXEMPT if not (ROOT / path).is_file()} == set()
