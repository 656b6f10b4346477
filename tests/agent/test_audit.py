from __future__ import annotations

import json
import os
import subprocess
import sys
import syslog
from pathlib import Path
from typing import Any

import pytest

from agent import audit as module
from agent.audit import FIRST, NAME, Audit, who

ROOT = Path(__file__).parents[2]


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / NAME).read_text().splitlines()]


def test_a_line_says_who_when_what_and_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "anita")
    Audit(tmp_path).write("asked", tokens=["ip:0123456789abcdef"], reason='case 7\n{"act": "none"} \u202e')
    (line,) = lines(tmp_path)
    assert (line["act"], line["tokens"], line["uid"], line["sudo_user"]) == (
        "asked",
        ["ip:0123456789abcdef"],
        os.getuid(),
        "anita",
    )
    assert line["time"].endswith("+00:00")
    assert line["reason"] == 'case 7\n{"act": "none"} \u202e'
    assert line["previous"] == FIRST
    assert (tmp_path / NAME).read_bytes().isascii(), "no letter that hides others on a terminal"
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600


def test_it_also_goes_to_the_systems_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[tuple[object, ...]] = []
    monkeypatch.setattr(syslog, "openlog", lambda *words: heard.append(words))
    monkeypatch.setattr(syslog, "syslog", lambda *words: heard.append(words))
    Audit(tmp_path).write("asked", reason="case 7")
    assert heard[0][2] == syslog.LOG_AUTHPRIV
    assert json.loads(str(heard[1][1])) == lines(tmp_path)[0]


def test_each_line_follows_the_one_before_and_a_change_shows(tmp_path: Path) -> None:
    audit = Audit(tmp_path)
    for number in range(6):
        audit.write("asked", reason=f"case {number}")
    assert list(audit.faults()) == []
    whole = (tmp_path / NAME).read_bytes().splitlines(keepends=True)
    changed = [whole[0], whole[1].replace(b"case 1", b"case 9"), *whole[2:]]
    taken = [*whole[:2], *whole[3:]]
    first = whole[1:]
    swapped = [*whole[:3], whole[4], whole[3], whole[5]]
    for content, places in ((changed, [3]), (taken, [3]), (first, [1]), (swapped, [4, 5, 6])):
        (tmp_path / NAME).write_bytes(b"".join(content))
        assert [int(fault.split(":")[1]) for fault in audit.faults()] == places


def test_a_torn_line_is_left_where_it_is(tmp_path: Path) -> None:
    """A crash in the middle of a write: the next line is a line of its own, and follows the torn one."""
    audit = Audit(tmp_path)
    audit.write("asked", reason="one")
    content = (tmp_path / NAME).read_bytes()
    (tmp_path / NAME).write_bytes(content + content[:30])
    audit.write("asked", reason="two")
    assert (tmp_path / NAME).read_bytes().startswith(content + content[:30] + b"\n{")
    assert [fault.split(":")[1] for fault in audit.faults()] == ["2"]


def test_two_at_once_make_one_chain(tmp_path: Path) -> None:
    code = "import sys; from agent.audit import Audit; [Audit(sys.argv[1]).write('asked', n=n) for n in range(40)]"
    code = code.replace("Audit(sys.argv[1])", "Audit(__import__('pathlib').Path(sys.argv[1]))")
    command = [sys.executable, "-c", code, str(tmp_path)]
    both = [subprocess.Popen(command, cwd=ROOT) for _ in range(2)]
    assert [one.wait(60) for one in both] == [0, 0]
    assert len(lines(tmp_path)) == 80
    assert list(Audit(tmp_path).faults()) == []


def test_what_cannot_be_written_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OSError, match="No such file"):
        Audit(tmp_path / "nowhere").write("asked")
    (tmp_path / "elsewhere").touch()
    (tmp_path / NAME).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        Audit(tmp_path).write("asked")
    (tmp_path / NAME).unlink()
    write = os.write
    monkeypatch.setattr(module.os, "write", lambda fd, data: write(fd, data[:5]))
    with pytest.raises(OSError, match="only part of a line"):
        Audit(tmp_path).write("asked")


def test_its_size_grows_with_each_line(tmp_path: Path) -> None:
    audit = Audit(tmp_path)
    assert audit.size() == 0
    audit.write("asked")
    assert audit.size() == (tmp_path / NAME).stat().st_size > 0


def test_a_login_is_told_where_the_system_knows_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_login", lambda: "0")
    assert (who()["login"], who()["login_uid"]) == ("root", 0)
    for unknown in ("", module.NOBODY):
        monkeypatch.setattr(module, "_login", lambda value=unknown: value)
        assert "login" not in who()


@pytest.mark.parametrize("content", [b"\n\n", b"[]\n", b"\xff\xfe\n", b'{"previous": 5}\n'])
def test_any_bytes_are_checked(content: bytes, tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(content)
    assert list(Audit(tmp_path).faults())
