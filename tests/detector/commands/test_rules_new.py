"""`nigrani rules new`: what it writes loads, and its tests pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from detector.commands.rules_new import EXAMPLES, template
from detector.rule_field import SERVICES
from detector.rule_loader import Loader
from nigrani import cli


def test_there_is_one_for_each_service() -> None:
    assert EXAMPLES.keys() == SERVICES.keys()


@pytest.mark.parametrize("service", EXAMPLES)
@pytest.mark.parametrize("correlation", [True, False])
def test_it_loads_and_its_tests_pass(tmp_path: Path, service: str, correlation: bool) -> None:
    path = tmp_path / "new.yml"
    path.write_text(template(service, 'What "it": \\ is', "team: a", correlation=correlation))
    loader = Loader([path])
    assert not loader.faults
    assert not loader.warnings
    assert [outcome.fault for _, outcome in loader.outcomes] == [None, None]
    [rule] = loader.rules
    assert (rule.title, rule.owner, rule.stage) == ('What "it": \\ is', "team: a", "test")


def test_to_a_file_and_never_over_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "new.yml"
    assert cli.main(["rules", "new", str(path)]) == 0
    before = path.read_bytes()
    assert cli.main(["rules", "new", str(path)]) == 1
    assert capsys.readouterr().err == f"nigrani: {path} is there already: name another file\n"
    assert path.read_bytes() == before


def test_to_standard_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["rules", "new", "--service", "flow", "--title", "Odd"]) == 0
    assert capsys.readouterr().out.startswith('title: "Odd"\n')
