"""`nigrani detector train`: events in, a signed baseline out, and one clear line where that cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from detector.setup import load_knowledge
from nigrani.stream.codec import encode_lines

if TYPE_CHECKING:
    from tests.detector.conftest import Maker, Run


@pytest.fixture
def morning(make: Maker, tmp_path: Path) -> Path:
    """Enough to learn habits from, with too few flows to train models on."""
    path = tmp_path / "morning.ndjson"
    path.write_bytes(encode_lines(make.morning(25, devices=1)))
    return path


def test_a_file_and_standard_input_teach_the_same(nigrani: Run, make: Maker, tmp_path: Path) -> None:
    outcomes = []
    morning = tmp_path / "morning.ndjson"
    morning.write_bytes(encode_lines(make.morning(15)))
    for name, words, given in (("a", [morning], b""), ("b", ["-"], morning.read_bytes())):
        done = nigrani("detector", "train", *words, "--out", tmp_path / name, given=given)
        assert (done.returncode, done.stdout) == (0, b"")
        assert b"nigrani: learnt " in done.stderr
        assert b"of 5 devices" in done.stderr
        outcomes.append((tmp_path / name).read_bytes())
    assert outcomes[0] == outcomes[1]
    assert load_knowledge(tmp_path / "a").minutes_per_week > 0


def test_broken_lines_among_good_are_told_and_the_rest_is_learnt(nigrani: Run, morning: Path, tmp_path: Path) -> None:
    lines = morning.read_bytes().splitlines(keepends=True)
    lines[3:3] = [b"not json\n", b'{"event.dataset": "\\u001b[2J"}\n']
    morning.write_bytes(b"".join(lines) + b"cut sho")
    done = nigrani("detector", "train", morning, "--out", tmp_path / "b")
    assert done.returncode == 0
    told = done.stderr.decode().splitlines()
    assert told[0].startswith(f"nigrani: {morning}:4: no event: ")
    assert told[0].endswith(f"(skipped 3 of {len(lines) + 1} lines)")
    assert told[1].startswith(f"nigrani: learnt {len(lines) - 2} events")
    assert len(told) == 2


def refusal(nigrani: Run, *words: str | Path, given: bytes = b"") -> str:
    done = nigrani("detector", "train", *words, given=given)
    assert (done.returncode, done.stdout) == (1, b"")
    [line] = done.stderr.decode().splitlines()
    return line


def test_a_missing_file(nigrani: Run, morning: Path, tmp_path: Path) -> None:
    out = tmp_path / "b"
    told = refusal(nigrani, morning, tmp_path / "none", "--out", out)
    assert told == f"nigrani: {tmp_path}/none: No such file or directory"
    assert not out.exists()


def test_an_empty_file_and_empty_standard_input(nigrani: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert refusal(nigrani, tmp_path / "empty", "--out", tmp_path / "b") == f"nigrani: {tmp_path}/empty: is empty"
    assert refusal(nigrani, "-", "--out", tmp_path / "b") == "nigrani: -: no events"


def test_too_little_to_learn_from(nigrani: Run, make: Maker, tmp_path: Path) -> None:
    told = refusal(nigrani, "-", "--out", tmp_path / "b", given=encode_lines(make.morning(3)))
    assert told.startswith("nigrani: nothing learnt: ")
    assert "too few" in told
    assert not (tmp_path / "b").exists()


def test_nowhere_to_write(nigrani: Run, morning: Path, tmp_path: Path) -> None:
    out = tmp_path / "none" / "b"
    assert refusal(nigrani, morning, "--out", out) == f"nigrani: {out}: cannot be written: No such file or directory"


def test_a_baseline_is_replaced_whole(nigrani: Run, morning: Path, tmp_path: Path) -> None:
    out = tmp_path / "b"
    out.write_bytes(b"an older one")
    assert nigrani("detector", "train", morning, "--out", out).returncode == 0
    load_knowledge(out)
    assert {path.name for path in tmp_path.iterdir()} == {"b", "morning.ndjson", "state"}


def test_without_an_output_it_is_misused(nigrani: Run, morning: Path) -> None:
    done = nigrani("detector", "train", morning)
    assert done.returncode == 2
    assert b"--out" in done.stderr
