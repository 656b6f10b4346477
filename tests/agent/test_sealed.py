from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.sealed import HEADER_BYTES, MAGIC, MAX_VALUE, Entry, entries_of, files, key_of, pack, plain, records

KEY = bytes(range(32))
ENTRIES = [Entry("ip", bytes(8), bytes(4)), Entry("user", b"12345678", b""), Entry("study", b"\xff" * 8, b"x" * 900)]
TOKENS = [entry.token for entry in ENTRIES]


def test_what_goes_into_a_box_comes_out() -> None:
    when, entries = entries_of(plain(1_790_000_000_123, ENTRIES), TOKENS)
    assert when == 1_790_000_000_123
    assert entries == [*ENTRIES[:2], Entry("study", b"\xff" * 8, b"x" * MAX_VALUE)]


@given(st.binary(max_size=200), st.integers(0, 4))
def test_any_content_of_a_box_is_entries_or_a_value_error(content: bytes, count: int) -> None:
    try:
        _, entries = entries_of(content, [bytes(8)] * count)
    except ValueError:
        return
    assert len(entries) == count


def test_records_follow_each_other() -> None:
    data = MAGIC + KEY + pack(TOKENS, b"box") + pack([], b"") + pack(TOKENS[:1], b"other")
    found = list(records(data))
    assert [(len(record.tokens), record.box) for _, record in found] == [(3, b"box"), (0, b""), (1, b"other")]
    assert found[-1][0] == len(data)
    assert found[0][1].tokens == tuple(TOKENS)


@given(st.data())
def test_nothing_from_the_first_broken_record_on(data: st.DataObject) -> None:
    """Cut anywhere, or with any byte changed, what stands before is read and nothing made up."""
    whole = [pack([bytes([number]) * 8], bytes([number]) * 20) for number in range(4)]
    content = bytearray(MAGIC + KEY + b"".join(whole))
    at = data.draw(st.integers(HEADER_BYTES, len(content) - 1))
    if data.draw(st.booleans()):
        del content[at:]
    else:
        content[at] ^= data.draw(st.integers(1, 255))
    good = (at - HEADER_BYTES) // len(whole[0])
    assert [record.tokens[0][0] for _, record in records(bytes(content))] == list(range(good))


@given(st.binary(max_size=300))
def test_any_bytes_are_read_as_a_file(data: bytes) -> None:
    list(records(MAGIC + KEY + data))
    list(records(data))
    assert key_of(data) == b"" or data.startswith(MAGIC)


def test_files_are_the_oldest_first_and_only_ours(tmp_path: Path) -> None:
    for name in ("0000000012.sealed", "0000000002.sealed", "x.sealed", "notes.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in files(tmp_path)] == ["0000000002.sealed", "0000000012.sealed"]
    assert files(tmp_path / "nowhere") == []


@pytest.mark.parametrize("data", [b"", MAGIC, MAGIC + bytes(31), b"NGRMAP2\n" + KEY])
def test_what_is_no_such_file_has_no_key(data: bytes) -> None:
    assert key_of(data) == b""
    assert key_of(MAGIC + KEY + b"rest") == KEY
