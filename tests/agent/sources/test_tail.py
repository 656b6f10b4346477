from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import time
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


def down(tail: Tail) -> State:
    """The agent stops; its state goes through a file."""
    state: State = json.loads(json.dumps(tail.state()))
    tail.close()
    return state


def follow(path: Path, clock: Clock, state: State | None, *, beginning: bool = True) -> Tail:
    return Tail(path, state=state, beginning=beginning, clock=clock)


def everything(tail: Tail, clock: Clock) -> list[str]:
    found: list[str] = []
    for _ in range(30):
        found += settle(tail, clock)
    return found


def rotate(path: Path, way: str, number: int) -> None:
    """What rotates a log makes of it; `number` counts up."""
    if way in {"numbered", "packed", "copied"}:
        for old in range(9, 0, -1):
            for end in ("", ".gz"):
                if (there := path.with_name(f"{path.name}.{old}{end}")).exists():
                    there.rename(path.with_name(f"{path.name}.{old + 1}{end}"))
    first = path.with_name(f"{path.name}.1")
    match way:
        case "numbered":
            path.rename(first)
        case "packed":
            path.rename(first)
            subprocess.run(["gzip", first], check=True)
        case "copied":
            shutil.copy(path, first)
            os.truncate(path, 0)
        case "dated":
            path.rename(path.with_name(f"{path.name}-2026112{number}"))
        case "dated-before-the-ending":
            path.rename(path.with_name(f"{path.stem}-2026-11-2{number}{path.suffix}"))
    path.touch()


@pytest.mark.parametrize("way", ["numbered", "packed", "copied", "dated", "dated-before-the-ending"])
@pytest.mark.parametrize("length", [9, 99])
def test_rotated_several_times_while_nobody_looked(path: Path, clock: Clock, way: str, length: int) -> None:
    tail = follow(path, clock, None)
    write(path, f"0 {'x' * length}\n")
    assert len(lines(tail)) == 1
    state = down(tail)
    for number in range(1, 5):
        write(path, f"{number} {'x' * length}\n")
        rotate(path, way, number)
    write(path, f"5 {'x' * length}\n")
    tail = follow(path, clock, state)
    assert [line.split()[0] for line in everything(tail, clock)] == ["1", "2", "3", "4", "5"]
    assert tail.counters["lost_ends"] == 0
    state = down(tail)
    rotate(path, way, 6)
    write(path, "7\n")
    tail = follow(path, clock, state)
    assert everything(tail, clock) == ["7"]
    tail.close()


@pytest.mark.parametrize("way", ["numbered", "packed", "copied", "dated"])
def test_rotated_twice_between_two_looks(path: Path, clock: Clock, way: str) -> None:
    tail = follow(path, clock, None)
    found: list[str] = []
    for number in range(6):
        write(path, f"{number} {'x' * 70}\n")
        rotate(path, way, number)
        if number % 3 == 0:
            found += everything(tail, clock)
    write(path, "6\n")
    found += everything(tail, clock)
    assert [line.split()[0] for line in found] == ["0", "1", "2", "3", "4", "5", "6"]
    assert (tail.counters["lost_ends"], tail.counters["lost_bytes"]) == (0, 0)
    tail.close()


def test_a_copy_has_what_was_not_read_before_the_truncation(path: Path, clock: Clock) -> None:
    tail = follow(path, clock, None)
    write(path, "one\ntw")
    assert lines(tail) == ["one"]
    write(path, "o\nthree\n")
    rotate(path, "copied", 1)
    write(path, "four\n")
    assert everything(tail, clock) == ["two", "three", "four"]
    assert (tail.counters["truncations"], tail.counters["lost_bytes"]) == (1, 0)
    tail.close()


def test_a_copy_of_what_was_never_looked_at(path: Path, clock: Clock) -> None:
    path.touch()
    tail = follow(path, clock, None)
    assert lines(tail) == []
    write(path, "one\n")
    rotate(path, "copied", 1)
    write(path, "two\n")
    assert everything(tail, clock) == ["one", "two"]
    tail.close()


def test_bytes_lost_in_a_truncation_are_counted_as_far_as_known(
    path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    tail = follow(path, clock, None)
    for _ in range(2):
        write(path, "x" * 100 + "\n" + "y" * (2 * TURN))
        tail.read()
        path.write_text("a\n")
        assert lines(tail) == ["a"]
    assert tail.counters["truncations"] == 2
    assert tail.counters["lost_bytes"] >= 2 * (2 * TURN + 101 - TURN)
    assert caplog.text.count("was cut short and no copy is beside it") == 1
    tail.close()


def test_deleted_and_made_again(path: Path, clock: Clock) -> None:
    write(path, "one\n")
    tail = follow(path, clock, None)
    assert lines(tail) == ["one"]
    with path.open("a") as writer:
        writer.write("two\n")
        writer.flush()
        path.unlink()
        write(path, "four\n")
        writer.write("three\n")  # into the deleted file, which is still open
    assert settle(tail, clock) == ["two", "three", "four"]
    tail.close()


@pytest.mark.parametrize("running", [True, False])
def test_a_link_that_is_switched(tmp_path: Path, clock: Clock, *, running: bool) -> None:
    link = tmp_path / "app.log"
    for day, text in ((1, "one\n"), (2, "three\n")):
        write(tmp_path / f"app.2026110{day}.log", text)
    link.symlink_to("app.20261101.log")
    tail = follow(link, clock, None)
    assert lines(tail) == ["one"]
    state = tail.state() if running else down(tail)
    write(tmp_path / "app.20261101.log", "two\n")
    write(tmp_path / "app.20261102.log", "four\n")
    link.unlink()
    link.symlink_to("app.20261102.log")
    tail = tail if running else follow(link, clock, state)
    assert everything(tail, clock) == ["two", "three", "four"]
    tail.close()


def test_a_log_that_only_has_numbered_files(path: Path, clock: Clock) -> None:
    """Triton's trace with `log-frequency`: trace.json.0, trace.json.1, and no trace.json."""
    tail = follow(path, clock, None)
    found = []
    for number in range(3):
        write(path.with_name(f"app.log.{number}"), f"{number}\n")
        found += everything(tail, clock)
    assert found == ["0", "1", "2"]
    state = down(tail)
    for number in range(3, 12):
        write(path.with_name(f"app.log.{number}"), f"{number}\n")
    tail = follow(path, clock, state)
    assert everything(tail, clock) == [str(number) for number in range(3, 12)]
    path.with_name("app.log.0").write_text("again\n")  # the server was started anew
    assert everything(tail, clock) == ["again"]
    tail.close()


def test_a_file_that_was_never_there_is_no_loss(path: Path, clock: Clock) -> None:
    state = down(follow(path, clock, None, beginning=False))
    write(path, "one\n")
    tail = follow(path, clock, state, beginning=False)
    assert lines(tail) == ["one"]
    assert tail.counters["lost_ends"] == 0
    tail.close()


def test_a_file_packed_in_another_way_is_counted(path: Path, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    tail = follow(path, clock, None)
    write(path, "one\n")
    assert lines(tail) == ["one"]
    state = down(tail)
    write(path.with_name("app.log.1.xz"), "packed\n")
    path.unlink()
    write(path, "two\n")
    tail = follow(path, clock, state)
    assert everything(tail, clock) == ["two"]
    assert tail.counters["lost_ends"] == 2  # of what was read before, and all of that
    assert "app.log.1.xz cannot be read" in caplog.text
    tail.close()


def test_a_packed_file_that_is_damaged_is_read_as_far_as_it_goes(path: Path, clock: Clock) -> None:
    tail = follow(path, clock, None)
    write(path, f"one {'x' * 70}\n")
    lines(tail)
    state = down(tail)
    write(path, "".join(f"{os.urandom(20).hex()}\n" for _ in range(5_000)))
    rotate(path, "packed", 1)
    packed = path.with_name("app.log.1.gz")
    os.truncate(packed, packed.stat().st_size // 2)
    write(path, "two\n")
    tail = follow(path, clock, state)
    found = everything(tail, clock)
    assert found[-1] == "two"
    assert 1_000 < len(found) < 4_000
    assert tail.counters["lost_ends"] == 1
    tail.close()


def test_a_fault_of_the_disk_makes_nothing_come_again(path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    tail = follow(path, clock, None)
    write(path, "one\ntwo\n")
    assert len(tail.read(0.0, 1)) == 1
    write(path, "three\n")
    with monkeypatch.context() as patched:
        patched.setattr("agent.sources.rotated.os.pread", lambda *_: (_ for _ in ()).throw(OSError(5, "Input/output error")))
        assert lines(tail) == ["two"]
        assert lines(tail) == []
        state = tail.state()
        assert lines(tail) == []
    assert lines(tail) == ["three"]
    assert tail.counters["unreadable_files"] == 1
    assert lines(follow(path, clock, state)) == ["three"]
    tail.close()


@given(st.integers(1, 9), st.integers(0, 40))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
def test_the_place_is_after_what_was_given_out(tmp_path: Path, limit: int, stop: int) -> None:
    path = tmp_path / os.urandom(4).hex()
    path.write_text("".join(f"{number}\n\n" for number in range(40)) + "part")
    tail = follow(path, Clock(), None)
    given: list[str] = []
    while len(given) < stop:
        given += [piece.line.decode() for piece in tail.read(0.0, limit)]
    tail = follow(path, Clock(), down(tail))
    assert given + lines(tail) == [str(number) for number in range(40)]
    tail.close()


def test_a_line_of_a_gigabyte(path: Path, clock: Clock) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 30)
        file.seek(0, os.SEEK_END)
        file.write(b"\nnext\n")
    tail = follow(path, clock, None)
    begin, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found: list[str] = []
    while not found:
        found += lines(tail)
    assert found == ["next"]
    assert time.monotonic() - begin < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 << 10
    assert tail.counters["long_lines"] == 1
    tail.close()
