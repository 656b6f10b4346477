from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nigrani
from nigrani.stream.bus import Batch, BusError, BusFull
from nigrani.stream.segment import HEADER_BYTES, segments
from nigrani.stream.spool import Spool, SpoolReader, SpoolWriter, stat, verify

ROOT = str(Path(nigrani.__file__).parents[1])
RECORD = HEADER_BYTES + 10


def small(path: Path, segment_records: int = 4, max_segments: int = 4) -> SpoolWriter:
    segment_bytes = segment_records * RECORD
    return Spool.open(path, max_bytes=max_segments * segment_bytes, segment_bytes=segment_bytes, fsync="never")


def payload(number: int) -> bytes:
    return b"%09d\n" % number


def fill(writer: SpoolWriter, numbers: range, count: int = 1) -> None:
    for number in numbers:
        assert writer.publish(payload(number), count) == number


def drain(reader: SpoolReader) -> list[Batch]:
    return [batch for batches in iter(lambda: reader.poll(7), []) for batch in batches]


def read_all(path: Path, group: str = "test") -> list[Batch]:
    reader = SpoolReader(path, group)
    try:
        return drain(reader)
    finally:
        reader.close()


def python(program: str, *arguments: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)], stdout=subprocess.PIPE, env={"PYTHONPATH": ROOT}
    )


# Restarts


def test_a_second_writer_is_refused_and_a_later_one_goes_on(tmp_path: Path) -> None:
    first = small(tmp_path)
    fill(first, range(3))
    with pytest.raises(BusError, match="has a writer already"):
        small(tmp_path)
    first.close()
    second = small(tmp_path)
    fill(second, range(3, 30))
    second.close()
    assert second.next_offset == small(tmp_path).next_offset == 30


def test_counts_survive_a_restart(tmp_path: Path) -> None:
    writer = small(tmp_path)
    fill(writer, range(50), count=500)
    dropped = writer.dropped_records
    assert dropped > 0
    writer.close()
    again = small(tmp_path)
    assert (again.dropped_records, again.dropped_events) == (dropped, dropped * 500)
    assert (again.next_offset, again.next_event) == (50, 25_000)


def test_offsets_that_a_group_committed_are_not_given_again(tmp_path: Path) -> None:
    """As after a power failure: the commit was synced, the batches before it were not."""
    writer = small(tmp_path)
    fill(writer, range(10), count=5)
    reader = SpoolReader(tmp_path, "one")
    drain(reader)
    reader.commit(10)
    reader.close()
    writer.close()
    last = segments(tmp_path)[-1].path
    os.truncate(last, RECORD)
    with small(tmp_path) as again:
        assert (again.next_offset, again.next_event) == (10, 50)
        fill(again, range(10, 12))
    assert [batch.offset for batch in read_all(tmp_path, "one")] == [10, 11]


def test_a_lower_bound_is_held_from_the_start(tmp_path: Path) -> None:
    with small(tmp_path, max_segments=4) as writer:
        fill(writer, range(16))
    with small(tmp_path, max_segments=2):
        assert stat(tmp_path).bytes <= 8 * RECORD


# Damage


def test_a_torn_tail_is_cut_wherever_it_is_torn(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    with small(whole) as writer:
        fill(writer, range(3))
    name = segments(whole)[0].path.name
    for left in range(RECORD):
        torn = tmp_path / str(left)
        shutil.copytree(whole, torn)
        os.truncate(torn / name, 2 * RECORD + left)
        assert [batch.offset for batch in read_all(torn)] == [0, 1]
        with small(torn) as writer:
            assert writer.cut_bytes == left
            fill(writer, range(2, 5))
        assert [batch.lines for batch in read_all(torn, "other")] == [payload(number) for number in range(5)]


@pytest.mark.parametrize("tail", [b"\0" * 500, b"\xffNS1" * 100, os.urandom(500)])
def test_garbage_after_the_last_record_is_cut(tmp_path: Path, tail: bytes) -> None:
    with small(tmp_path) as writer:
        fill(writer, range(2))
    path = segments(tmp_path)[0].path
    path.write_bytes(path.read_bytes() + tail)
    assert len(read_all(tmp_path)) == 2
    with small(tmp_path) as writer:
        assert writer.cut_bytes == len(tail)
    assert not list(verify(tmp_path))


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("sound") / "spool"
    with small(directory) as writer:
        fill(writer, range(11), count=3)
    return directory


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_flipped_bits_never_become_a_wrong_payload(sound: Path, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name) / "spool"
        shutil.copytree(sound, directory)
        paths = [segment.path for segment in segments(directory)]
        for _ in range(data.draw(st.integers(1, 3))):
            path = data.draw(st.sampled_from(paths))
            content = bytearray(path.read_bytes())
            bit = data.draw(st.integers(0, len(content) * 8 - 1))
            content[bit // 8] ^= 1 << bit % 8
            path.write_bytes(content)
        check_served(directory)
        with small(directory) as writer:  # what stood damaged at the very end is cut, anything else stepped over
            next_offset = writer.next_offset
            writer.publish(payload(next_offset), 3)
        check_served(directory)


def check_served(directory: Path) -> None:
    reader = SpoolReader(directory, "test")
    batches = drain(reader)
    assert all(batch.lines == payload(batch.offset) and batch.count == 3 for batch in batches)
    assert len(batches) + reader.missed_records == reader.position
    assert 3 * len(batches) + reader.missed_events == 3 * reader.position
    reader.close()


def test_damage_is_stepped_over_counted_and_told(tmp_path: Path) -> None:
    with small(tmp_path) as writer:
        fill(writer, range(12), count=3)
    first, second, third = (segment.path for segment in segments(tmp_path))
    for path, position in ((first, RECORD + HEADER_BYTES), (second, 3 * RECORD + 4)):
        content = bytearray(path.read_bytes())
        content[position] ^= 1
        path.write_bytes(content)
    third.write_bytes(third.read_bytes()[:-1])
    reader = SpoolReader(tmp_path, "one")
    assert [batch.offset for batch in drain(reader)] == [0, 2, 3, 4, 5, 6, 8, 9, 10]
    assert (reader.missed_records, reader.missed_events, reader.faults) == (2, 6, 2)
    assert [(fault.file, fault.position, fault.reason) for fault in verify(tmp_path)] == [
        (first.name, RECORD, f"{RECORD} bytes are damaged; batches 1 to 1 are missing"),
        (second.name, 3 * RECORD, f"{RECORD} bytes at the end are torn or damaged"),
        (third.name, 0, "batches 7 to 7 are missing"),
        (third.name, 3 * RECORD, f"{RECORD - 1} bytes at the end are torn or damaged"),
    ]


def test_a_removed_segment_and_a_damaged_commit_are_told(tmp_path: Path) -> None:
    with small(tmp_path) as writer:
        fill(writer, range(12))
    segments(tmp_path)[1].path.unlink()
    (tmp_path / "one.offset").write_text("torn")
    assert [fault.reason for fault in verify(tmp_path)] == [
        "batches 4 to 7 are missing",
        "damaged; the group will begin again at the oldest batch",
    ]
    reader = SpoolReader(tmp_path, "one")
    assert len(drain(reader)) == 8
    assert reader.missed_records == 4


# Bounds


def test_the_bound_holds_at_every_moment_and_every_batch_is_accounted_for(tmp_path: Path) -> None:
    writer = Spool.open(tmp_path, max_bytes=4000, segment_bytes=1000, fsync="never")
    offered = 0
    for number in range(300):
        count = number % 7
        writer.publish(b"x" * (number * 37 % 900), count)
        offered += count
        now = stat(tmp_path)
        assert now.bytes == sum(each.path.stat().st_size for each in segments(tmp_path)) <= 4000
        assert now.next_offset - now.first_offset + now.dropped_records == number + 1
        assert now.events + now.dropped_events == offered
    kept = read_all(tmp_path)
    assert len(kept) + writer.dropped_records == 300
    assert sum(batch.count for batch in kept) + writer.dropped_events == offered


def test_stat_tells_what_each_group_has_and_misses(tmp_path: Path) -> None:
    writer = small(tmp_path)
    fill(writer, range(4), count=10)
    behind, ahead = SpoolReader(tmp_path, "behind"), SpoolReader(tmp_path, "ahead")
    behind.poll(1)
    behind.commit(1)
    drain(ahead)
    ahead.commit(4)
    fill(writer, range(4, 24), count=10)
    now = stat(tmp_path)
    assert (now.segments, now.first_offset, now.next_offset, now.events) == (4, 8, 24, 160)
    assert now.groups["behind"] == (1, 16, 160, 7, 70)
    assert now.groups["ahead"] == (4, 16, 160, 4, 40)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"fsync": "often"}, "fsync is 'often' and must be one of always, interval, never"),
        ({"max_bytes": 100, "segment_bytes": 51}, "must be at least twice segment_bytes, 51"),
        ({"max_bytes": 100, "segment_bytes": 0}, "max_bytes is 100"),
    ],
)
def test_a_bad_setting_is_refused(tmp_path: Path, settings: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Spool.open(tmp_path / "spool", **settings)  # type: ignore[arg-type]
    assert not (tmp_path / "spool").exists()


def test_a_batch_larger_than_a_segment_is_refused(tmp_path: Path) -> None:
    with small(tmp_path) as writer, pytest.raises(ValueError, match="too large for segments"):
        writer.publish(b"x" * 4 * RECORD, 1)


def test_a_poll_is_bounded_in_bytes(tmp_path: Path) -> None:
    with Spool.open(tmp_path, fsync="never") as writer:
        for _ in range(4):
            writer.publish(bytes(5 << 20), 1)
    reader = SpoolReader(tmp_path, "one")
    assert [len(reader.poll(99)) for _ in range(3)] == [2, 2, 0]


def test_commits_among_more_batches_than_are_remembered_wait_and_lose_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nigrani.stream.spool.MAX_MARKS", 4)
    with small(tmp_path) as writer:
        fill(writer, range(10))
        reader = SpoolReader(tmp_path, "one")
        drain(reader)
        reader.commit(5)
        assert SpoolReader(tmp_path, "one").position == 0
        reader.commit(8)
        assert SpoolReader(tmp_path, "one").position == 8


# Full disks


def full_after(monkeypatch: pytest.MonkeyPatch, room: int, error: int = errno.ENOSPC) -> None:
    """Let segments together take `room` bytes; what comes beyond is written in part or not at all."""
    real = os.writev

    def writev(fd: int, parts: tuple[bytes, bytes]) -> int:
        directory = Path(f"/proc/self/fd/{fd}").readlink().parent
        left = room - sum(segment.path.stat().st_size for segment in segments(directory))
        if left <= 0:
            raise OSError(error, os.strerror(error))
        return real(fd, [b"".join(parts)[:left]])

    monkeypatch.setattr(os, "writev", writev)


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_drops_the_oldest_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    full_after(monkeypatch, 9 * RECORD + 20, error)
    with small(tmp_path) as writer:
        fill(writer, range(100))
        assert writer.dropped_records > 80
        kept = read_all(tmp_path)
    assert [batch.lines for batch in kept] == [payload(number) for number in range(writer.dropped_records, 100)]
    assert not list(verify(tmp_path))


def test_a_disk_smaller_than_one_segment_still_takes_the_newest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full_after(monkeypatch, 3 * RECORD + 5)
    with small(tmp_path) as writer:
        fill(writer, range(10))
        assert read_all(tmp_path)[-1].lines == payload(9)


def test_a_disk_without_any_room_is_told_and_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small(tmp_path) as writer:
        full_after(monkeypatch, 20)
        for _ in range(3):
            with pytest.raises(BusFull, match=r"no room on the disk of .*: free some, or lower max_bytes"):
                writer.publish(payload(0), 1)
        assert stat(tmp_path).bytes == 0
        monkeypatch.undo()
        fill(writer, range(3))
        assert len(read_all(tmp_path)) == 3


def test_another_error_is_not_taken_for_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with small(tmp_path) as writer:
        fill(writer, range(6))
        full_after(monkeypatch, 0, errno.EIO)
        with pytest.raises(OSError, match="Input/output error") as caught:
            writer.publish(payload(6), 1)
        assert not isinstance(caught.value, BusFull)
        monkeypatch.undo()
        fill(writer, range(6, 8))
        assert len(read_all(tmp_path)) == 8


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("mounting a file system needs root")
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "nigrani-test", str(tmp_path)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("this root may not mount a file system")
    yield tmp_path
    subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


def test_a_truly_full_disk(tiny_disk: Path) -> None:
    offered = refused = delivered = 0
    with Spool.open(tiny_disk, max_bytes=16 << 20, segment_bytes=200_000) as writer:
        reader = SpoolReader(tiny_disk, "one")
        for number in range(300):
            offered += 10
            try:
                writer.publish(payload(number) * 2000, 10)
            except BusFull:
                refused += 10
            if number == 100:
                delivered += sum(batch.count for batch in reader.poll(3))
                reader.commit(reader.position)  # on the full disk
        delivered += sum(batch.count for batch in drain(reader))
        reader.commit(reader.position)
        assert writer.dropped_records > 200
        assert delivered + reader.missed_events + refused == offered
        assert stat(tiny_disk).groups["one"].offset == writer.next_offset
        reader.close()
    assert not list(verify(tiny_disk))


# Durability


@pytest.mark.parametrize(("policy", "expected"), [("always", 21), ("interval", 3), ("never", 0)])
def test_how_often_each_policy_syncs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: str, expected: int) -> None:
    synced: list[int] = []
    clock = [1000.0]
    with Spool.open(tmp_path, fsync=policy) as writer:  # type: ignore[arg-type]
        monkeypatch.setattr(os, "fdatasync", synced.append)
        monkeypatch.setattr(time, "monotonic", lambda: clock[0])
        for number in range(20):  # one sync for the first, one after 100 ms
            clock[0] = 1000 + number * 0.007
            writer.publish(payload(number), 1)
        writer.publish(bytes(1 << 20), 1)  # one for a whole MiB
        assert len(synced) == expected
        writer.flush()  # nothing is left to sync
        assert len(synced) == expected


def test_flush_and_close_sync_what_the_interval_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    with Spool.open(tmp_path) as writer:
        monkeypatch.setattr(os, "fdatasync", synced.append)
        monkeypatch.setattr(time, "monotonic", lambda: 1000.0)
        for expected in (1, 1, 2):
            writer.publish(b"", 0)
            if expected == 2:
                writer.flush()
            assert len(synced) == expected
        writer.publish(b"", 0)
    assert len(synced) == 3


WRITE_FOR_EVER = """
import sys
from nigrani.stream.spool import Spool
writer = Spool.open(sys.argv[1], max_bytes=1 << 26, segment_bytes=1 << 16, fsync=sys.argv[2])
while True:
    offset = writer.publish(b"%d\\n" % writer.next_offset * 100, 100)
    sys.stdout.buffer.write(b"%d\\n" % offset)
    sys.stdout.buffer.flush()
"""


def test_a_killed_writer_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    published = 0
    for policy in ("never", "interval", "always", "never", "interval"):
        child = python(WRITE_FOR_EVER, tmp_path, policy)
        assert child.stdout is not None
        first = child.stdout.readline()
        time.sleep(0.05 + published % 7 / 100)
        child.send_signal(signal.SIGKILL)
        acknowledged = [int(line) for line in first.splitlines() + child.stdout.read().splitlines(keepends=False)]
        child.stdout.close()
        child.wait()
        assert acknowledged[0] >= published
        published = acknowledged[-2] + 1  # the last line may have been cut
        batches = read_all(tmp_path, "fresh")
        assert len(batches) >= published
        assert all(batch == Batch(n, 100, b"%d\n" % n * 100) for n, batch in enumerate(batches))
    assert not [fault for fault in verify(tmp_path) if "missing" in fault.reason]


# Other processes

WRITE_SOME = """
import sys
from nigrani.stream.spool import Spool
with Spool.open(sys.argv[1], max_bytes=1 << 26, segment_bytes=1 << 14, fsync="never") as writer:
    for number in range(int(sys.argv[2])):
        writer.publish(b"%d\\n" % number * (number % 97), 3)
"""


def test_a_reader_follows_a_writer_of_another_process(tmp_path: Path) -> None:
    reader = SpoolReader(tmp_path, "one")
    total = 20_000
    child = python(WRITE_SOME, tmp_path, total)
    position = 0
    deadline = time.monotonic() + 20
    while position < total and time.monotonic() < deadline:
        for batch in reader.poll(500, timeout=1):
            assert batch == Batch(position, 3, b"%d\n" % position * (position % 97))
            position += 1
    child.communicate()
    assert (position, reader.missed_records, reader.faults) == (total, 0, 0)
    assert reader.lag() == (0, 0)


def test_an_idle_poll_waits_and_a_batch_ends_the_wait(tmp_path: Path) -> None:
    with small(tmp_path) as writer:
        reader = SpoolReader(tmp_path, "one")
        began = time.monotonic()
        assert reader.poll(1, timeout=0.03) == []
        assert time.monotonic() - began >= 0.03
        fill(writer, range(1))
        began = time.monotonic()
        assert len(reader.poll(5, timeout=10)) == 1
        assert time.monotonic() - began < 5


def test_lag_follows_over_many_segments(tmp_path: Path) -> None:
    with small(tmp_path, max_segments=100) as writer:
        reader = SpoolReader(tmp_path, "one")
        for end in (1, 2, 50, 51, 200):
            fill(writer, range(writer.next_offset, end), count=2)
            assert reader.lag() == (end, end * 2)
        reader.poll(20)
        assert reader.lag() == (180, 360)
