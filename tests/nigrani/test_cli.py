from __future__ import annotations

import argparse
import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from nigrani import __version__, cli
from nigrani.service.errors import BadConfig, Fault, Problem, Usage
from tests.agent.packets import ROOT


@pytest.mark.parametrize("verb", cli.VERBS, ids=lambda verb: " ".join(verb.words))
def test_every_verb_is_there_and_explains_itself(verb: cli.Verb, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip(verb.module)
    with pytest.raises(SystemExit) as left:
        cli.main([*verb.words, "--help"])
    assert left.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: nigrani {' '.join(verb.words)} ")


@pytest.mark.parametrize("words", [["--help"], ["agent", "--help"], ["detector", "-h"]])
def test_help_names_the_verbs(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(words)
    assert left.value.code == 0
    shown = capsys.readouterr().out
    role = words[0] if len(words) == 2 else None
    for verb in cli.VERBS:
        if role in (None, verb.words[0]):
            assert verb.words[0 if role is None else 1] in shown


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(["--version"])
    assert (left.value.code, capsys.readouterr().out) == (0, f"nigrani {__version__}\n")


@pytest.mark.parametrize(
    "words", [[], ["agent"], ["watch"], ["agent", "fly"], ["agent", "replay"], ["agent", "replay", "--fly", "x"]]
)
def test_what_is_no_command_is_a_usage_error(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(words)
    assert left.value.code == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("usage: nigrani")


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], int]], int]:
    def run(act: Callable[[], int]) -> int:
        module = SimpleNamespace(__doc__="A verb.", arguments=lambda parser: None, run=lambda options: act())
        monkeypatch.setattr(importlib, "import_module", lambda name: module)
        return cli.main(["up"])

    return run


def fail(error: BaseException) -> Callable[[], int]:
    def act() -> int:
        raise error

    return act


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (Problem("a: is empty"), 1, "nigrani: a: is empty\n"),
        (Usage("name one"), 2, "nigrani: name one\n"),
        (BadConfig([Fault("a", 1, "x"), Fault("b", 0, "y", "z")]), 78, "nigrani: a:1: x\nnigrani: b: y (z)\n"),
        (KeyboardInterrupt(), 130, ""),
        (OSError(28, "No space left on device"), 1, "nigrani: No space left on device\n"),
        (FileNotFoundError(2, "No such file", "x.pcap"), 1, "nigrani: x.pcap: No such file\n"),
    ],
)
def test_errors_have_one_line_and_a_code(
    verb: Callable[[Callable[[], int]], int], error: BaseException, code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verb(fail(error)) == code
    assert capsys.readouterr() == ("", told)


def test_a_fault_in_the_program_is_not_hidden(verb: Callable[[Callable[[], int]], int]) -> None:
    with pytest.raises(ZeroDivisionError):
        verb(fail(ZeroDivisionError()))


def test_the_verbs_code_is_the_commands(verb: Callable[[Callable[[], int]], int]) -> None:
    assert [verb(lambda: 0), verb(lambda: 1)] == [0, 1]


def test_options_reach_the_verb(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[argparse.Namespace] = []

    def arguments(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--level", type=int)
        parser.add_argument("files", nargs="*")

    def run(options: argparse.Namespace) -> int:
        seen.append(options)
        return 0

    module = SimpleNamespace(__doc__="A verb.", arguments=arguments, run=run)
    monkeypatch.setattr(importlib, "import_module", lambda name: module)
    assert cli.main(["agent", "run", "--level", "3", "a", "b"]) == 0
    assert (seen[0].level, seen[0].files) == (3, ["a", "b"])


def test_the_command_itself_loads_little() -> None:
    script = (
        "import sys, nigrani.cli as c; c.parser(); heavy = {'agent', 'detector', 'msgspec', 'yaml'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, check=True
    )
    assert done.stdout == b"[]\n"
