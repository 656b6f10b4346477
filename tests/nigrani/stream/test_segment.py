from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nigrani.stream.bus import Place
from nigrani.stream.segment import HEADER_BYTES, MARK, Cursor, Record, Segment, pack, parse, search, segments


def record(offset: int, event: int, count: int, payload: bytes) -> bytes:
    return pack(offset, event, count, payload) + payload


NUMBERS = st.integers(0, 2**64 - 1)


@given(NUMBERS, NUMBERS, st.integers(0, 2**32 - 1), st.binary(max_size=100), st.binary(max_size=9))
def test_a_record_parses_to_what_was_packed(offset: int, event: int, count: int, payload: bytes, before: bytes) -> None:
    packed = record(offset, event, count, payload)
    assert len(packed) == HEADER_BYTES + len(payload)
    assert parse(before + packed + b"more", len(before)) == Record(offset, event, count, payload)


@given(st.binary(max_size=200), st.integers(0, 250))
def test_arbitrary_bytes_are_no_record(data: bytes, at: int) -> None:
    assert parse(data, at) is None
    assert parse(MARK + data) is None


def test_no_single_bit_can_change_unseen() -> None:
    packed = record(3, 40, 2, b'{"n":1}\n')
    for bit in range(len(packed) * 8):
        changed = bytearray(packed)
        changed[bit // 8] ^= 1 << bit % 8
        assert parse(bytes(changed)) is None, bit


def test_a_count_that_its_field_does_not_hold_is_refused() -> None:
    for count in (-1, 2**32):
        with pytest.raises(ValueError, match=f"cannot hold {count} events"):
            pack(0, 0, count, b"")


def test_a_search_passes_over_marks_that_begin_no_record_and_over_older_records() -> None:
    older, newer = record(4, 40, 1, b"older"), record(5, 41, 1, b"newer")
    data = b"torn" + MARK * 3 + older + b"torn" + newer
    assert search(data, 5, 41) == (data.index(newer), Record(5, 41, 1, b"newer"))
    assert search(data, 6, 42) is None


def write(directory: Path, offset: int, event: int, data: bytes) -> Path:
    path = Segment(offset, event, directory).path
    path.write_bytes(data)
    return path


def test_segments_are_listed_in_order_and_nothing_else_is(tmp_path: Path) -> None:
    for offset in (100, 20, 3):
        write(tmp_path, offset, offset * 5, b"")
    (tmp_path / "3-15.log").touch()
    (tmp_path / "spool.json").touch()
    (tmp_path / f"{7:020d}-{7:020d}.log").mkdir()
    assert [(each.offset, each.event) for each in segments(tmp_path)] == [(3, 15), (20, 100), (100, 500)]


def test_a_cursor_waits_at_a_record_that_is_being_written(tmp_path: Path) -> None:
    whole = record(0, 0, 1, b"a" * 50) + record(1, 1, 1, b"b" * 50)
    path = write(tmp_path, 0, 0, b"")
    cursor = Cursor(tmp_path, Place(0, 0))
    seen = []
    for end in range(len(whole) + 1):
        path.write_bytes(whole[:end])
        while found := cursor.next():
            seen.append((end, found.payload[:1]))
    assert seen == [(82, b"a"), (164, b"b")]
    assert cursor.faults == 0


def test_a_cursor_does_not_take_a_torn_record_that_was_cut_and_rewritten_for_damage(tmp_path: Path) -> None:
    path = write(tmp_path, 0, 0, record(0, 0, 1, b"never finished")[:40])
    cursor = Cursor(tmp_path, Place(0, 0))
    assert cursor.next() is None
    path.write_bytes(record(0, 0, 1, b"another") + record(1, 1, 1, b"and one more"))
    assert [found.payload for found in iter(cursor.next, None)] == [b"another", b"and one more"]
    assert (cursor.faults, cursor.place.missed_records) == (0, 0)


def test_a_cursor_steps_over_each_of_several_damaged_records(tmp_path: Path) -> None:
    records = [record(number, number * 10, 10, b"%d" % number * 20) for number in range(6)]
    damaged = [bytes(len(each)) if number in {1, 3} else each for number, each in enumerate(records)]
    write(tmp_path, 0, 0, b"".join(damaged))
    cursor = Cursor(tmp_path, Place(0, 0))
    assert [found.offset for found in iter(cursor.next, None)] == [0, 2, 4, 5]
    assert cursor.faults == 2
    assert cursor.place == Place(6, 60, missed_records=2, missed_events=20)


def test_a_sound_record_out_of_its_turn_is_not_served(tmp_path: Path) -> None:
    """As a file system may leave an old block in a new file."""
    write(tmp_path, 4, 40, record(4, 40, 1, b"x") + record(2, 20, 1, b"old") + record(5, 41, 1, b"y"))
    cursor = Cursor(tmp_path, Place(0, 0))
    assert [found.offset for found in iter(cursor.next, None)] == [4, 5]
    assert cursor.faults == 1


def test_a_cursor_goes_on_from_the_middle_of_a_segment(tmp_path: Path) -> None:
    write(tmp_path, 0, 0, b"".join(record(number, number * 10, 10, b"x") for number in range(4)))
    write(tmp_path, 4, 40, record(4, 40, 1, b"y"))
    cursor = Cursor(tmp_path, Place(2, 20))
    assert [found.offset for found in iter(cursor.next, None)] == [2, 3, 4]
    assert cursor.place == Place(5, 41)


def test_a_cursor_counts_what_stands_between_segments(tmp_path: Path) -> None:
    write(tmp_path, 0, 0, record(0, 0, 10, b"x") + b"torn")
    write(tmp_path, 7, 70, record(7, 70, 1, b"y"))
    cursor = Cursor(tmp_path, Place(0, 0))
    assert [found.offset for found in iter(cursor.next, None)] == [0, 7]
    assert cursor.place == Place(8, 71, missed_records=6, missed_events=60)
    assert cursor.faults == 1


def test_a_record_longer_than_one_read_is_read_whole(tmp_path: Path) -> None:
    payload = bytes(3 << 20)
    write(tmp_path, 0, 0, record(0, 0, 1, payload) + record(1, 1, 1, b"next"))
    cursor = Cursor(tmp_path, Place(0, 0))
    assert [len(found.payload) for found in iter(cursor.next, None)] == [len(payload), 4]
