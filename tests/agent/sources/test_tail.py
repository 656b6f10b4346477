from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.source import State
from agent.sources.tail import GRACE, TURN, Tail


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "app.log"


@pytest.fixture
def clock() -> Clock:
    return Clock()


def write(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def lines(tail: Tail) -> list[str]:
    return [piece.line.decode() for piece in tail.read()]


def again(tail: Tail, clock: Clock) -> Tail:
    """The agent stopped and started again: the state went through a file."""
    state: State = json.loads(json.dumps(tail.state()))
    tail.close()
    return Tail(tail.path, state=state, clock=clock)


def settle(tail: Tail, clock: Clock) -> list[str]:
    """Wait until a rotation is taken for done."""
    found = lines(tail) + lines(tail)
    clock.now += GRACE
    return found + lines(tail) + lines(tail)


def test_lines_come_as_they_are_written(path: Path, clock: Clock) -> None:
    write(path, "old\n")
    tail = Tail(path, clock=clock)
    assert lines(tail) == []
    write(path, "one\ntw")
    assert lines(tail) == ["one"]
    write(path, "o\r\n\nthree\n")
    assert lines(tail) == ["two", "three"]
    assert tail.read()[:1] == []
    assert tail.counters["bytes"] == len("one\ntwo\r\n\nthree\n")
    assert tail.fileno() == -1
    tail.close()


def test_what_was_there_is_read_where_that_is_wanted(path: Path) -> None:
    write(path, "old\n")
    assert lines(Tail(path, beginning=True)) == ["old"]


def test_a_piece_says_where_it_is_from(path: Path) -> None:
    write(path, "x\n")
    assert Tail(path, beginning=True).read() == [(b"x", None, str(path))]


def test_a_file_that_is_not_there_yet_is_read_from_its_beginning(path: Path, clock: Clock) -> None:
    tail = Tail(path, clock=clock)
    assert (lines(tail), tail.counters["absent"]) == ([], 1)
    write(path, "one\n")
    assert (lines(tail), tail.counters["absent"]) == (["one"], 0)


def test_a_renamed_file_is_read_to_its_end_first(path: Path, clock: Clock) -> None:
    write(path, "")
    tail = Tail(path, clock=clock)
    write(path, "one\n")
    assert lines(tail) == ["one"]
    old = path.rename(path.with_name("app.log.1"))
    write(old, "two\n")
    write(path, "four\n")
    assert lines(tail) == ["two"]
    clock.now += GRACE / 2
    assert lines(tail) == []
    write(old, "three\nhalf")  # the writer has not reopened yet
    clock.now += GRACE
    assert lines(tail) == ["three"]
    clock.now += GRACE
    assert lines(tail) == ["half"]
    assert lines(tail) == ["four"]
    assert tail.counters["rotations"] == 1


def test_a_renamed_file_without_a_new_one_is_waited_for(path: Path, clock: Clock) -> None:
    write(path, "")
    tail = Tail(path, clock=clock)
    old = path.rename(path.with_name("app.log.1"))
    write(old, "one\n")
    assert settle(tail, clock) == ["one"]
    write(path, "two\n")
    assert settle(tail, clock) == ["two"]


def test_a_truncated_file_is_read_again(path: Path, clock: Clock) -> None:
    tail = Tail(path, clock=clock, beginning=True)
    write(path, "one one\ntwo")
    assert lines(tail) == ["one one"]
    path.write_text("a\n")
    assert lines(tail) == ["a"]
    assert tail.counters["truncations"] == 1


def test_a_file_rewritten_longer_than_it_was_is_known_by_its_head(path: Path, clock: Clock) -> None:
    tail = Tail(path, clock=clock, beginning=True)
    write(path, "one\n")
    assert lines(tail) == ["one"]
    path.write_text("two\nthree\n")
    assert lines(tail) == ["two", "three"]
    path.write_text("six\nseven\n")  # the very same length shows once it grows
    assert lines(tail) == []
    write(path, "eight\n")
    assert lines(tail) == ["six", "seven", "eight"]
    assert tail.counters["truncations"] == 2


@pytest.mark.parametrize("part", ["", "ha"])
def test_a_restart_goes_on_at_the_byte(path: Path, clock: Clock, part: str) -> None:
    tail = Tail(path, clock=clock, beginning=True)
    write(path, "one\n" + part)
    assert lines(tail) == ["one"]
    tail = again(tail, clock)
    assert lines(tail) == []
    write(path, "lf\ntwo\n")
    assert lines(tail) == [part + "lf", "two"]
    assert lines(again(tail, clock)) == []


def test_a_state_tells_nothing_of_the_lines(path: Path) -> None:
    write(path, "RAO^ANITA\n")
    tail = Tail(path, beginning=True)
    tail.read()
    assert "RAO" not in json.dumps(tail.state())
    assert b"RAO".hex() not in json.dumps(tail.state())


@pytest.mark.parametrize("way", ["rename", "copy"])
def test_a_file_rotated_while_nobody_looked(path: Path, clock: Clock, way: str) -> None:
    tail = Tail(path, clock=clock, beginning=True)
    write(path, "one " + "x" * 80 + "\n")
    assert len(lines(tail)) == 1
    state = tail.state()
    tail.close()
    write(path, "two\n")
    if way == "rename":
        path.rename(path.with_name("app.log.1"))
    else:
        shutil.copy(path, path.with_name("app.log.1"))
        os.truncate(path, 0)
    write(path, "three\n")
    tail = Tail(path, state=state, clock=clock)
    assert settle(tail, clock) == ["two", "three"]
    assert tail.counters["lost_ends"] == 0


def test_an_end_that_is_gone_is_counted(path: Path, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    tail = Tail(path, clock=clock, beginning=True)
    write(path, "one\n")
    lines(tail)
    state = tail.state()
    tail.close()
    path.write_text("x\n")
    tail = Tail(path, state=state, clock=clock)
    assert lines(tail) == ["x"]
    assert tail.counters["lost_ends"] == 1
    assert "its end may be lost" in caplog.text


def test_a_new_file_of_the_same_inode_is_not_the_old_one(path: Path, clock: Clock) -> None:
    tail = Tail(path, clock=clock, beginning=True)
    write(path, "one\n")
    lines(tail)
    state = tail.state()
    assert state["inode"] == path.stat().st_ino
    tail.close()
    path.write_text("other\nlonger\n")
    assert path.stat().st_ino == state["inode"]
    assert lines(Tail(path, state=state, clock=clock)) == ["other", "longer"]


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"inode": "x"},
        {"inode": 1, "offset": -1},
        {"inode": 1, "offset": 1, "head_size": 1, "head": "zz"},
        {"inode": 1, "offset": 0, "head": "", "head_size": 1 << 40},
    ],
)
def test_a_broken_state_begins_again(path: Path, state: State) -> None:
    write(path, "one\n")
    assert lines(Tail(path, state=state)) == ["one"]


def test_a_line_of_any_length_takes_no_room_and_a_turn_is_bounded(path: Path, clock: Clock) -> None:
    with path.open("wb") as file:
        file.truncate(5 * TURN)  # zeros without a line end, and without a byte on the disk
        file.seek(0, os.SEEK_END)
        file.write(b"\nnext\n")
    tail = Tail(path, clock=clock, beginning=True)
    assert tail.read() == []
    assert tail.counters["bytes"] == TURN
    assert tail.counters["long_lines"] == 1
    for _ in range(3):
        tail.read()
    tail = again(tail, clock)  # in the middle of it
    assert tail.state()["skipping"] is True
    assert tail.read() == []
    assert [piece.line for piece in tail.read()] == [b"next"]
    assert tail.counters["long_lines"] == 0


def test_objects_without_line_ends(path: Path) -> None:
    write(path, '[{"id":1},{"id"')
    tail = Tail(path, "objects", beginning=True)
    assert lines(tail) == ['{"id":1}']
    state = tail.state()
    write(path, ":2}]")
    assert lines(Tail(path, "objects", state)) == ['{"id":2}']


def test_what_is_no_plain_file_is_not_read(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    os.mkfifo(path)
    tail = Tail(path)
    assert (lines(tail), lines(tail)) == ([], [])
    assert tail.counters["unreadable_files"] == 1
    assert caplog.text.count("is no plain file") == 1


def test_waiting_is_bounded(path: Path) -> None:
    assert Tail(path).read(0.01) == []


@given(st.lists(st.sampled_from(["write", "part", "rename", "truncate", "restart", "read"]), max_size=12))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_every_line_comes_once_and_in_order(tmp_path: Path, steps: list[str]) -> None:
    folder = tmp_path / os.urandom(4).hex()
    folder.mkdir()
    path, clock = folder / "app.log", Clock()
    write(path, "")
    tail = Tail(path, clock=clock)
    found: list[str] = []
    for number, step in enumerate(steps, 1):
        match step:
            case "write":
                write(path, f"line {number} {'x' * 70}\n")
            case "part":
                write(path, f"[{number}]")
            case "rename":
                found += settle(tail, clock)
                path.rename(path.with_name(f"app.log.{number}"))
                write(path, "")
            case "truncate":
                write(path, "\n")
                found += settle(tail, clock)
                os.truncate(path, 0)
                found += lines(tail)
            case "restart":
                tail = again(tail, clock)
            case "read":
                found += lines(tail)
    write(path, "\n")
    found += settle(tail, clock)
    tail.close()
    told = [piece for line in found for piece in line.replace("]", "] ").split() if piece[0] == "["]
    whole = [int(line.partition("line ")[2].split()[0]) for line in found if "line " in line]
    assert whole == [number for number, step in enumerate(steps, 1) if step == "write"]
    assert told == [f"[{number}]" for number, step in enumerate(steps, 1) if step == "part"]
