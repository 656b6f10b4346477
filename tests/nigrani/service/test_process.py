"""What a process takes is what the kernel says, and the disk's room what statvfs says."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from nigrani.service import process as module
from nigrani.service.exposition import exposition
from nigrani.service.process import Process, disk


def values(folder: Path) -> dict[str, float]:
    return {family.name: family.samples[0].value for family in Process(folder).collect()}


def test_it_tells_what_the_kernel_tells(tmp_path: Path) -> None:
    found = values(tmp_path)
    assert found["process_cpu_seconds"] == pytest.approx(time.process_time(), abs=0.1)
    assert 10e6 < found["process_resident_memory_bytes"] < found["process_virtual_memory_bytes"]
    assert 0 < time.time() - found["process_start_time_seconds"] < 86_400
    assert found["process_threads"] >= 1
    with (tmp_path / "one").open("w"), (tmp_path / "two").open("w"):
        assert values(tmp_path)["process_open_fds"] >= found["process_open_fds"] + 1
    assert found["process_open_fds"] < found["process_max_fds"]
    assert found["nigrani_state_disk_size_bytes"] > found["nigrani_state_disk_free_bytes"] > 0
    assert b"# TYPE process_cpu_seconds_total counter" in exposition(Process(tmp_path))


def test_the_start_is_that_of_the_process_not_of_the_host(tmp_path: Path) -> None:
    begun = values(tmp_path)["process_start_time_seconds"]
    ticks = float(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    assert time.time() - begun == pytest.approx(time.clock_gettime(time.CLOCK_BOOTTIME) - ticks, abs=2)


def test_the_disk_of_a_folder_that_is_not_made_yet_is_its_parents(tmp_path: Path) -> None:
    one, other = list(disk(tmp_path / "a" / "b", "x", "of it"))
    assert (one.name, other.name) == ("x_free_bytes", "x_size_bytes")
    assert other.samples[0].value == os.statvfs(tmp_path).f_blocks * os.statvfs(tmp_path).f_frsize


def test_where_proc_is_hidden_nothing_is_said_of_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Hidden(type(Path())):  # type: ignore[misc]
        def read_text(self, encoding: str | None = None, errors: str | None = None) -> str:
            raise PermissionError(13, "hidden")

    monkeypatch.setattr(module, "Path", Hidden)
    assert set(values(tmp_path)) == {"nigrani_state_disk_free_bytes", "nigrani_state_disk_size_bytes"}


def test_a_name_with_spaces_and_parentheses_moves_no_field() -> None:
    fields = " ".join(map(str, range(100, 150)))
    plain, odd = (module._stat(f"7 ({name}) {fields}") for name in ("python", "a) 1 2 (b"))
    assert plain == odd
    assert plain["user"] == 111
