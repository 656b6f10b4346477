"""Run the tests of rules: those that rules bring along, and those that stand in files beside them.

With --events DIR: for the rule file `<rules>/<domain>/<rule>.yml` each `DIR/<domain>/<rule>/match/*.ndjson` is a sequence of
events that it must tell of, and each `nomatch/*.ndjson` one that it must not. Exit code 1 where a test fails.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from detector.commands.rules import configured, declare, folders, plain, put, put_json, sound_but_tests
from detector.matcher import Matcher
from detector.rule import Extra
from detector.rule_join import Join
from detector.rule_loader import Loader
from nigrani.service.plural import plural
from nigrani.stream.codec import decode


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("paths", metavar="PATH", nargs="*", type=Path, help="a rule file or a folder of them")
    parser.add_argument("--events", metavar="DIR", type=Path, help="the folder of the sequences")
    declare(parser)


class Result(NamedTuple):
    """One test."""

    rule: Path
    """File of the rule."""
    path: Path
    line: int
    """Where the test stands."""
    title: str
    passed: bool
    why: str


def run(options: argparse.Namespace) -> int:
    """Test."""
    paths = options.paths or folders(options, configured(options))
    loader = sound_but_tests(paths)
    results = [*_own(loader), *(_beside(loader, paths, options.events) if options.events else ())]
    for result in results:
        if options.json:
            put_json(result._asdict())
        elif not result.passed:
            put(plain(f"{result.path}:{result.line}: {result.title}: {result.why}"))
    failed = sum(not result.passed for result in results)
    tested = {result.rule for result in results}
    without = sum(rule.path not in tested for rule in loader.rules)
    rules = plural(len(loader.rules), "rule")
    sys.stderr.write(f"nigrani: {plural(len(results), 'test')}, {failed} failed; {without} of {rules} without any\n")
    return 1 if failed else 0


def _own(loader: Loader) -> Iterator[Result]:
    for draft, outcome in loader.outcomes:
        line = draft.document.line(*(outcome.fault.keys if outcome.fault else outcome.case.keys))
        why = outcome.fault.message if outcome.fault else ""
        yield Result(draft.document.path, draft.document.path, line, draft.rule.title, outcome.fault is None, why)


def _beside(loader: Loader, paths: list[Path], events: Path) -> Iterator[Result]:
    for path in sorted({draft.document.path for draft in loader.drafts}):
        home = next((folder for folder in paths if folder in path.parents), path.parent)
        place = events / path.relative_to(home).with_suffix("")
        for sequence in sorted(place.glob("*match/*.ndjson")):
            yield _sequence(path, sequence)


def _sequence(path: Path, sequence: Path) -> Result:
    """What comes of a sequence: the rule is tested by itself, as it is written."""
    loader = sound_but_tests([path])
    matcher = Matcher(Join(loader.drafts, loader.counted, staged=False), loader.constants)
    found = _told(matcher, sequence)
    wanted = sequence.parent.name == "match"
    passed = (any(found) if matcher.correlations else all(found)) if wanted else not any(found)
    missed = [str(number) for number, told in enumerate(found, 1) if told is not wanted]
    why = "" if passed else f"{'not told of' if wanted else 'told of'} in line {', '.join(missed[:5])}"
    return Result(path, sequence, 0, path.stem, passed, why)


def _told(matcher: Matcher, sequence: Path) -> list[bool]:
    told = []
    for line in sequence.read_bytes().splitlines():
        wire = json.loads(line)
        told.append(bool(matcher.match(decode(line), msgspec.convert(wire, Extra))))
    return told
