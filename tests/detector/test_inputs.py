"""The files of a verb: checked before any is read, read one after the other, and what was no event is told."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from detector.inputs import Inputs
from nigrani.service.errors import Problem
from nigrani.stream.codec import encode_lines

if TYPE_CHECKING:
    from tests.detector.conftest import Maker


def test_files_are_read_in_the_order_given(make: Maker, tmp_path: Path) -> None:
    names: list[str] = []
    for number in range(3):
        path = tmp_path / f"{number}.ndjson"
        path.write_bytes(encode_lines([make.flow(), make.ai()]))
        names.insert(0, str(path))
    inputs = Inputs(names)
    assert [event.id for event in inputs.read()] == ["e4", "e5", "e2", "e3", "e0", "e1"]
    assert (inputs.events, inputs.bad) == (6, 0)
    assert inputs.total == sum(len(Path(name).read_bytes()) for name in names)
    inputs.finish()


def test_a_missing_file_is_told_before_any_is_read(make: Maker, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(encode_lines([make.flow()]))
    with pytest.raises(Problem, match=r"b: No such file or directory$"):
        Inputs([str(tmp_path / "a"), str(tmp_path / "b")])


def test_an_empty_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(Problem, match=r"a: is empty$"):
        Inputs([str(tmp_path / "a")])


def test_a_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="Is a directory"):
        Inputs([str(tmp_path)])


def test_a_pipe_is_no_empty_file(make: Maker, tmp_path: Path) -> None:
    """As the shell's `<(zcat events.gz)` gives one."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    data = encode_lines([make.flow(), make.ai()])
    writer = threading.Thread(target=pipe.write_bytes, args=(data,))
    writer.start()
    inputs = Inputs([str(pipe)])
    assert [event.id for event in inputs.read()] == ["e0", "e1"]
    writer.join()


def test_standard_input_is_read_once() -> None:
    with pytest.raises(Problem, match="only once"):
        Inputs(["-", "-"])


def test_faults_of_each_file_are_told_and_counted(make: Maker, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = []
    for number in range(2):
        path = tmp_path / f"{number}.ndjson"
        path.write_bytes(b"broken\n" + encode_lines([make.flow()]) + b"worse\n")
        names.append(str(path))
    inputs = Inputs(names)
    assert len(list(inputs.read())) == 2
    assert inputs.bad == 4
    told = capsys.readouterr()
    assert told.out == ""
    assert [line.split(": ")[1] for line in told.err.splitlines()] == [f"{name}:1" for name in names]


def test_nothing_but_faults_is_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"broken\n")
    inputs = Inputs([str(path)])
    assert list(inputs.read()) == []
    with pytest.raises(Problem, match=r"a: no events$"):
        inputs.finish()


def test_progress_is_of_all_files(make: Maker, tmp_path: Path) -> None:
    names = []
    for number in range(2):
        path = tmp_path / f"{number}.ndjson"
        path.write_bytes(encode_lines([make.flow() for _ in range(2000)]))
        names.append(str(path))
    seen: list[tuple[int, int]] = []
    inputs = Inputs(names)
    list(inputs.read(lambda done, total: seen.append((done, total))))
    done = [at for at, _ in seen]
    assert len(done) >= 3
    assert done == sorted(done)
    assert {total for _, total in seen} == {inputs.total}
    assert done[-1] <= inputs.total
