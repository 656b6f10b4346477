"""Rule files from anywhere: each ends as documents with lines, or as faults with lines; none harms."""

import time
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from detector.rule_file import MAX_BYTES, MAX_DEPTH, documents, read_bytes, rule_files

HERE = Path("x.yml")

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "\n".join(
    f"{name}: &{name} [{','.join(['*' + before] * 9)}]" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)

BAD = {
    "not yaml": (b"a: [1\nb: 2\n", 2, "not YAML"),
    "tab": (b"a:\n\tb: 1\n", 2, "not YAML"),
    "control character": (b"a: 1\nb: \x01\n", 2, "not YAML"),
    "not utf-8": (b"a: 1\nb: \xff\n", 2, "not UTF-8"),
    "alias": (b"a: &x 1\nb: *x\n", 1, "anchors and aliases"),
    "bomb": (BOMB.encode(), 1, "anchors and aliases"),
    "deep": (b"a: " + b"[" * 100_000, 1, "nest deeper"),
    "deep blocks": ("\n".join(" " * n + "a:" for n in range(MAX_DEPTH + 2)).encode(), MAX_DEPTH + 1, "nest deeper"),
    "large": (b"a: " + b"x" * MAX_BYTES, 0, "larger than"),
    "key twice": (b"a: 1\nb: 2\na: 3\n", 3, "given twice"),
    "key twice below": (b"a:\n  b: 2\n  b: 3\n", 3, "given twice"),
    "key no text": (b"a: 1\non: 2\n", 2, "not text"),
    "key a list": (b"a: 1\n? [b]\n: 2\n", 2, "not text"),
    "merge key": (b"a: 1\n<<: {b: 2}\n", 2, "not text"),
    "python tag": (b"a: 1\nb: !!python/object/apply:os.system [x]\n", 2, "tag"),
    "binary": (b"a: 1\nb: !!binary aGk=\n", 2, "tag"),
    "no such day": (b"a: 1\nb: 2026-99-99\n", 1, "cannot be read"),
    "enormous number": (b"a: " + b"9" * 5000, 1, "cannot be read"),
    "a list": (b"- a\n", 1, "a map"),
    "a text": (b"a\n", 1, "a map"),
}


@pytest.mark.parametrize(("content", "line", "message"), BAD.values(), ids=BAD.keys())
def test_bad_files_are_faults_with_a_line(content: bytes, line: int, message: str) -> None:
    began = time.process_time()
    found, faults = documents(HERE, content)
    assert not found
    assert faults[0].line == line
    assert message in faults[0].message
    assert all(fault.remedy for fault in faults)
    assert time.process_time() - began < 2


def test_all_faults_of_a_file_are_told_at_once() -> None:
    _, faults = documents(HERE, b"a: 1\na: 2\n---\nb: !!binary aGk=\n---\n- c\n")
    assert [fault.line for fault in faults] == [2, 4, 6]


def test_a_bad_document_leaves_the_others() -> None:
    found, faults = documents(HERE, b"a: 1\n---\nb: 1\nb: 2\n---\nc: 3\n---\n")
    assert [document.data for document in found] == [{"a": 1}, {"c": 3}]
    assert len(faults) == 1


def test_lines_of_keys_items_and_missing_parts() -> None:
    text = b"# first\ntitle: x\n---\ndetection:\n  sel:\n    - a: 1\n    - b:\n        - p\n        - q\n"
    document = documents(HERE, text)[0][1]
    assert document.line() == 4
    assert document.line("detection", "sel", 1, "b", 1) == 9
    assert document.line("detection", "sel", 1, "c") == 7
    assert document.line("nowhere") == 4
    assert document.fault("m", "r", "detection", "sel").line == 5


def test_byte_order_mark() -> None:
    assert documents(HERE, b"\xef\xbb\xbftitle: x\n")[0][0].data == {"title": "x"}


@settings(deadline=None)
@given(st.binary(max_size=400))
@example(b"? \n")
@example(b"%TAG ! tag:x,2000:\n---\na: !b c\n")
@example(b"a: 0001-01-01T00:00:00+23:59\n")
@example(b"a: 1e999\nb: 0b\nc: 190:20:30\nd: .nan\n")
def test_any_bytes_are_documents_or_faults(content: bytes) -> None:
    found, faults = documents(HERE, content)
    assert all(isinstance(document.data, dict) and document.line() >= 1 for document in found)
    assert all(fault.path == HERE for fault in faults)


@settings(deadline=None)
@given(st.text("ab:-[]{}&*!?|>'\"#%@` \n\t0.", max_size=120))
def test_any_yaml_like_text_is_documents_or_faults(text: str) -> None:
    documents(HERE, text.encode())


def test_rule_files_come_in_one_order(tmp_path: Path) -> None:
    for name in ("b.yml", "a.yaml", "c.txt", "d/e.yml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    assert [str(path.relative_to(tmp_path)) for path in rule_files(tmp_path)] == ["a.yaml", "b.yml", "d/e.yml"]
    assert rule_files(tmp_path / "c.txt") == [tmp_path / "c.txt"]


def test_a_file_is_read_to_the_limit_only(tmp_path: Path) -> None:
    path = tmp_path / "large.yml"
    path.write_bytes(b"x" * 1_000_000)
    assert len(read_bytes(path)) == MAX_BYTES + 1
