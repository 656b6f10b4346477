from __future__ import annotations

import pytest

from nigrani.service.errors import BadConfig, Fault, Problem, Usage


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (Fault("a.yaml", 3, "is wrong"), "a.yaml:3: is wrong"),
        (Fault("a.yaml", 0, "is wrong"), "a.yaml: is wrong"),
        (Fault("a.yaml", 3, "is wrong", "write it right"), "a.yaml:3: is wrong (write it right)"),
        (Fault("a.yaml", 1, "unknown \x1b[31mx\nnigrani: fine"), "a.yaml:1: unknown �[31mx�nigrani: fine"),
    ],
)
def test_a_fault_names_the_file_the_line_and_the_remedy(fault: Fault, text: str) -> None:
    assert str(fault) == text


def test_exit_codes() -> None:
    assert [kind.code for kind in (Problem, Usage, BadConfig)] == [1, 2, 78]
    assert all(issubclass(kind, Problem) for kind in (Usage, BadConfig))


def test_all_faults_are_told_one_a_line() -> None:
    faults = (Fault("a", 1, "x"), Fault("b", 2, "y"))
    error = BadConfig(faults)
    assert (str(error), error.faults) == ("a:1: x\nb:2: y", [*faults])
