from __future__ import annotations

import builtins
import contextlib
import logging
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from nacl.public import PrivateKey, SealedBox

from agent import sealer as module
from agent.sealed import Entry, entries_of, files, records
from agent.sealer import FILES, WAITING, Sealer
from nigrani.service.errors import Problem

PRIVATE = PrivateKey(bytes(range(32)))
KEY = bytes(PRIVATE.public_key)
MIB = 1 << 20

Make = Callable[..., Sealer]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Sealer] = []

    def sealer(max_bytes: int = 64 * MIB, key: bytes = KEY) -> Sealer:
        made.append(Sealer(tmp_path / "tokens", key, max_bytes))
        return made[-1]

    yield sealer
    for one in made:
        one.close()


def token(number: int) -> bytes:
    return ((number + 1) * 0x9E3779B97F4A7C15 & (1 << 64) - 1).to_bytes(8, "big")


def told(sealer: Sealer, numbers: range | list[int]) -> None:
    for number in numbers:
        sealer.note("ip", token(number), number.to_bytes(4, "big"))


def opened(folder: Path) -> list[Entry]:
    box = SealedBox(PRIVATE)
    found: list[Entry] = []
    for path in files(folder / "tokens"):
        for _, record in records(path.read_bytes()):
            found += entries_of(box.decrypt(record.box), record.tokens)[1]
    return found


def test_what_was_told_is_in_the_map_once(make: Make, tmp_path: Path) -> None:
    sealer = make()
    told(sealer, range(1000))
    told(sealer, range(1000))
    sealer.turn()
    assert [(entry.token, entry.value) for entry in opened(tmp_path)] == [
        (token(number), number.to_bytes(4, "big")) for number in range(1000)
    ]
    counters = sealer.counters()
    assert (counters["map_entries"], counters["map_dropped"]) == (1000, 0)
    assert counters["map_bytes"] == sum(path.stat().st_size for path in files(tmp_path / "tokens"))
    assert counters["map_bytes"] < 25 * 1000


def test_no_value_is_on_the_disk_in_clear(make: Make, tmp_path: Path) -> None:
    sealer = make()
    sealer.note("user", token(1), b"dr.anita.rao@hospital.example")
    sealer.note("ip", token(2), bytes([203, 0, 113, 77]))
    sealer.turn()
    everything = b"".join(path.read_bytes() for path in (tmp_path / "tokens").iterdir())
    assert token(1) in everything
    assert b"anita" not in everything
    assert bytes([203, 0, 113, 77]) not in everything
    assert {oct(path.stat().st_mode & 0o777) for path in (tmp_path / "tokens").iterdir()} == {"0o600"}
    assert (tmp_path / "tokens").stat().st_mode & 0o777 == 0o700


def test_a_restart_goes_on_and_keeps_nothing_twice(make: Make, tmp_path: Path) -> None:
    first = make()
    told(first, range(300))
    first.close()
    second = make()
    told(second, range(400))
    second.turn()
    assert len(opened(tmp_path)) == 400
    assert len(files(tmp_path / "tokens")) == 1


@pytest.mark.parametrize("cut", [1, 40, 200])
def test_a_torn_end_is_cut_off(make: Make, tmp_path: Path, cut: int) -> None:
    first = make()
    told(first, range(10))
    first.turn()
    told(first, range(10, 20))
    first.close()
    path = files(tmp_path / "tokens")[0]
    os.truncate(path, path.stat().st_size - cut)
    second = make()
    told(second, range(20))
    second.turn()
    assert {entry.token for entry in opened(tmp_path)} == {token(number) for number in range(20)}
    assert len(opened(tmp_path)) == 20


def test_another_key_begins_another_file(make: Make, tmp_path: Path) -> None:
    other = bytes(PrivateKey.generate().public_key)
    first = make(key=other)
    told(first, range(5))
    first.close()
    second = make()
    told(second, range(5))
    second.turn()
    assert len(files(tmp_path / "tokens")) == 2
    assert not second.renewed(), "what waits for its first file is told already"


def test_the_map_is_bounded_and_the_oldest_goes_first(make: Make, tmp_path: Path) -> None:
    sealer = make(MIB)
    number = 0
    while not sealer.counters()["map_evicted"]:
        told(sealer, range(number, number + 500))
        number += 500
        sealer._ration = 1e9  # days pass
        sealer.turn()
        assert sealer.counters()["map_bytes"] <= MIB
    counters = sealer.counters()
    kept = {entry.token for entry in opened(tmp_path)}
    assert len(kept) == counters["map_entries"] - counters["map_evicted"]
    assert token(0) not in kept
    assert token(number - 1) in kept
    assert len(files(tmp_path / "tokens")) == FILES


def test_a_new_file_asks_for_everything_again(make: Make, tmp_path: Path) -> None:
    """So that what is seen every day is in the newest file too, and does not go with the oldest."""
    sealer = make(MIB)
    told(sealer, range(10))
    sealer.turn()
    assert not sealer.renewed()
    number = 10
    while not sealer.renewed():
        told(sealer, range(number, number + 100))
        number += 100
        sealer._ration = 1e9  # days pass
        sealer.turn()
    assert not sealer.renewed()
    told(sealer, range(10))
    sealer.turn()
    newest = files(tmp_path / "tokens")[-1].read_bytes()
    kept = {one for _, record in records(newest) for one in record.tokens}
    assert {token(one) for one in range(10)} <= kept


def test_a_flood_loses_itself_and_not_the_map(make: Make, tmp_path: Path) -> None:
    sealer = make(MIB)
    told(sealer, range(100))
    sealer.turn()
    for start in range(1000, 201_000, 10_000):
        told(sealer, range(start, start + 10_000))
        sealer.turn()
    counters = sealer.counters()
    assert counters["map_bytes"] < 2 * MIB // FILES
    assert counters["map_dropped"] > 100_000
    waiting = len(sealer._queue) + len(sealer._batch)
    assert counters["map_entries"] + counters["map_dropped"] + waiting == 100 + 200_000
    assert {token(number) for number in range(100)} <= {entry.token for entry in opened(tmp_path)}
    sealer.close()
    assert make(MIB)._ration < MIB // FILES / 4, "a restart is no way around the ration"


def test_the_queue_is_bounded(make: Make) -> None:
    sealer = make()
    told(sealer, range(WAITING + 500))
    assert len(sealer._queue) == WAITING
    assert sealer.counters()["map_dropped"] == 500


def test_a_full_disk_is_told_once_and_nothing_is_lost(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Writing stops half way in a record."""
    sealer = make()
    told(sealer, range(10))
    sealer.turn()
    write = os.write
    monkeypatch.setattr(module.os, "write", lambda fd, data: write(fd, data[:7]))
    told(sealer, range(10, 600))
    sealer.turn()
    sealer.turn()
    assert caplog.text.count("the map of tokens waits for room") == 1
    monkeypatch.undo()
    with caplog.at_level(logging.WARNING):
        sealer.turn()
    assert caplog.text.count("the map of tokens goes on, 0 entries were dropped") == 1
    assert {entry.token for entry in opened(tmp_path)} == {token(number) for number in range(600)}
    assert len(opened(tmp_path)) == 600


def test_a_folder_that_is_none_and_a_second_writer_are_told(make: Make, tmp_path: Path) -> None:
    make()
    with pytest.raises(Problem, match="another agent keeps its map there"):
        make()
    (tmp_path / "file").touch()
    with pytest.raises(Problem, match="Not a directory"):
        Sealer(tmp_path / "file" / "tokens", KEY, MIB)
    with pytest.raises(ValueError, match="32 bytes"):
        Sealer(tmp_path / "other", bytes(31), MIB)


def test_without_pynacl_it_says_so(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("nacl"):
            raise ModuleNotFoundError(name="nacl")
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(Problem, match=r"pip install nigrani\[map\]"):
        make()


def test_its_thread_seals_what_waits(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.01)
    sealer = make()
    sealer.start()
    told(sealer, range(50))
    deadline = time.monotonic() + 10
    while len(opened(tmp_path)) < 50 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(opened(tmp_path)) == 50
    told(sealer, range(50, 60))
    sealer.close()
    assert len(opened(tmp_path)) == 60


def test_a_long_name_is_cut(make: Make, tmp_path: Path) -> None:
    sealer = make()
    sealer.note("name", token(1), b"x" * 100_000)
    sealer.turn()
    assert len(opened(tmp_path)[0].value) == 512


def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if os.geteuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root and the right to mount")
    try:
        sealer = Sealer(disk / "tokens", KEY, MIB)
        told(sealer, range(100))
        sealer.turn()
        with contextlib.suppress(OSError), (disk / "filler").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        told(sealer, range(100, 3000))
        sealer.turn()
        assert sealer.counters()["map_entries"] < 3000
        (disk / "filler").unlink()
        sealer.close()
        assert sealer.counters()["map_entries"] == 3000
        assert {entry.token for entry in opened(disk)} == {token(number) for number in range(3000)}
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_burst_wakes_the_thread(make: Make, tmp_path: Path) -> None:
    """Long before its pause is over."""
    sealer = make()
    sealer.start()
    told(sealer, range(WAITING // 2))
    deadline = time.monotonic() + module.PAUSE * 0.9
    while sealer.counters()["map_entries"] < WAITING // 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert sealer.counters()["map_entries"] == WAITING // 2
