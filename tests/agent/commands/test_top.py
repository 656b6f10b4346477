"""`nigrani agent top` in a terminal of the test's own: drawn, resized, ended in each way, and the terminal given back."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from agent.commands.top import ENTER, LEAVE
from tests.agent.packets import ROOT
from tests.e2e.test_reload import Agent


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    with Agent(tmp_path_factory.mktemp("top")) as made:
        made.hear(b"READY=1")
        yield made


class Terminal:
    """`nigrani agent top` in it."""

    def __init__(self, agent: Agent, columns: int = 80, rows: int = 24) -> None:
        self.main, side = pty.openpty()
        self.size(columns, rows)
        self.before = termios.tcgetattr(side)
        self.side = side
        self.shown = b""
        command = [sys.executable, "-m", "nigrani.cli", "agent", "top", "--interval", "0.2", "--config", str(agent.path)]
        environment = {**os.environ, "TERM": "xterm", "PYTHONUTF8": "1"}
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=side, stdout=side, stderr=side, start_new_session=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.main)
        os.close(self.side)

    def size(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.main, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def until(self, text: str) -> None:
        """Read until this is shown."""
        deadline = time.monotonic() + 20
        while text.encode() not in self.shown:
            assert time.monotonic() < deadline, self.shown
            if select.select([self.main], [], [], 0.1)[0]:
                self.shown += os.read(self.main, 65_536)

    def ends(self) -> int:
        code = self.process.wait(20)
        while select.select([self.main], [], [], 0.1)[0]:
            self.shown += os.read(self.main, 65_536)
        return code


@pytest.mark.parametrize("how", ["q", "SIGINT", "SIGTERM"])
def test_the_terminal_is_given_back_however_it_ends(agent: Agent, how: str) -> None:
    with Terminal(agent) as terminal:
        terminal.until("in all  last minute")
        terminal.until("log gateway")
        assert terminal.shown.startswith(ENTER.encode())
        if how == "q":
            os.write(terminal.main, b"q")
        else:
            terminal.process.send_signal(getattr(signal, how))
        assert terminal.ends() == 0
        assert terminal.shown.endswith(LEAVE.encode())
        assert termios.tcgetattr(terminal.side) == terminal.before
        assert b"Traceback" not in terminal.shown


def test_a_new_size_is_drawn_at_once(agent: Agent) -> None:
    with Terminal(agent, 100, 40) as terminal:
        terminal.until("in all  last minute")
        terminal.size(40, 8)
        terminal.process.send_signal(signal.SIGWINCH)
        terminal.until(" more")
        last = terminal.shown.rpartition(b"\x1b[H")[2].decode()
        lines = [line.replace("\x1b[K", "").replace("\x1b[J", "") for line in last.split("\r\n")]
        assert len(lines) <= 8
        assert all(len(line) <= 40 for line in lines)


def test_without_a_terminal_it_prints(agent: Agent) -> None:
    command = [sys.executable, "-m", "nigrani.cli", "agent", "top", "--interval", "0.2", "--count", "2"]
    done = subprocess.run(
        [*command, "--config", str(agent.path)], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("nigrani agent: well") == 2
    assert "\x1b" not in done.stdout
    assert done.stdout.isascii() or "…" in done.stdout


def test_without_an_agent_it_says_so_and_leaves_the_terminal_alone(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "nigrani.cli", "agent", "top", "--metrics", "http://127.0.0.1:1/metrics"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "no agent answers" in done.stderr
