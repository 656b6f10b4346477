"""An agent of a test: the real command in a process of its own, that tells when it is ready, its metrics and its spool."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

from nigrani.stream.bus import Batch
from nigrani.stream.codec import decode
from nigrani.stream.event import Event
from nigrani.stream.spool import SpoolReader

ROOT = Path(__file__).parents[2]
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all")
LINE = '{{"msec":{when:.3f},"client":"10.0.0.9","uri":"/v2/models/x/infer","method":"POST","status":200,"req_bytes":{n}}}\n'
"""Of an AI gateway's log; its number tells it from the others."""


class Agent:
    """One that runs."""

    def __init__(self, process: subprocess.Popen[bytes], told: socket.socket, state: Path, port: int, said: Path) -> None:
        self.process = process
        self.state = state
        self._told = told
        self.url = f"http://127.0.0.1:{port}/metrics"
        self._said = said

    def ready(self, seconds: float = 20.0) -> None:
        """Wait until it says so."""
        self._told.settimeout(0.1)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert self.process.poll() is None, self.said()
            with contextlib.suppress(TimeoutError):
                if b"READY=1" in self._told.recv(4096):
                    return
        raise AssertionError("not ready: " + self.said())

    def metrics(self) -> dict[str, float]:
        """All of them; it answers within a second."""
        with urllib.request.urlopen(self.url, timeout=1) as answer:
            text = answer.read().decode()
        return {name: float(value) for name, value in re.findall(r"^(\S+) (\S+)$", text, re.MULTILINE)}

    def until(self, name: str, least: float, seconds: float = 10.0) -> float:
        """Wait until a metric is as large; returns it."""
        end = time.monotonic() + seconds
        while (value := self.metrics().get(name, 0.0)) < least:
            assert time.monotonic() < end, f"{name} is {value}: {self.said()}"
            time.sleep(0.05)
        return value

    def memory(self) -> int:
        """Bytes resident."""
        found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{self._innermost()}/status").read_text(encoding="ascii"))
        assert found
        return int(found[1]) << 10

    def _innermost(self) -> int:
        """The agent's own process, whatever it was started by."""
        pid = self.process.pid
        while children := Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split():
            pid = int(children[0])
        return pid

    def said(self) -> str:
        """Its log so far."""
        return self._said.read_text(encoding="utf-8")

    def stop(self, seconds: float = 15.0) -> None:
        """End it as systemd does: in time, without a fault."""
        os.kill(self._innermost(), signal.SIGTERM)
        assert self.process.wait(timeout=seconds) == 0, self.said()
        assert "Traceback" not in self.said()


@contextlib.contextmanager
def running(state: Path, *settings: str, before: Sequence[str] = (), **environment: str) -> Iterator[Agent]:
    """An agent with these settings. before: words before the command, such as `ip netns exec`."""
    port = free_port()
    state.mkdir(exist_ok=True)
    said = state / "said"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told, said.open("ab") as log:
        where = f"/tmp/nigrani-test-{os.getpid()}-{port}"  # where a user without rights and any network namespace finds it
        told.bind(where)
        Path(where).chmod(0o777)
        environment |= {"NOTIFY_SOCKET": where, "NIGRANI_STATE": str(state)}
        words = [*before, *command(f"metrics.listen=127.0.0.1:{port}", *settings)]
        with subprocess.Popen(words, cwd=ROOT, env={**os.environ, **environment}, stderr=log) as process:
            try:
                yield Agent(process, told, state, port, said)
            finally:
                process.kill()
                Path(where).unlink()


def once(state: Path, *settings: str, before: Sequence[str] = (), config: Path | None = None) -> tuple[int, str]:
    """Exit code and log of an agent that ends by itself; no fault of its own shows in it."""
    words = [*before, *command(*settings), *(["--config", str(config)] if config else [])]
    environment = {**os.environ, "NIGRANI_STATE": str(state)}
    done = subprocess.run(
        words, cwd=ROOT, env=environment, capture_output=True, text=True, errors="replace", timeout=30, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert done.stdout == ""
    return done.returncode, done.stderr


def command(*settings: str) -> list[str]:
    """`nigrani agent run` with settings."""
    return [sys.executable, "-m", "nigrani.cli", "agent", "run", *(word for one in settings for word in ("--set", one))]


def watching(log: Path) -> str:
    """The setting that has an AI gateway's log read."""
    return f"logs.files.gate={{path: {log}, format: ai-gateway, beginning: true}}"


def lines(first: int, count: int) -> str:
    """Lines of an AI gateway's log."""
    return "".join(LINE.format(when=time.time(), n=number) for number in range(first, first + count))


def events(state: Path, group: str = "test") -> list[Event]:
    """All events of its spool."""
    return [decode(line) for batch in batches(state, group) for line in batch.lines.splitlines()]


def batches(state: Path, group: str) -> list[Batch]:
    """All that its spool has for a group of readers, which has had it then."""
    reader = SpoolReader(state / "bus", group)
    found: list[Batch] = []
    while some := reader.poll(1_000_000):
        found += some
    reader.commit(reader.position)
    reader.close()
    assert reader.faults == 0
    return found


def free_port() -> int:
    """A port of loopback that nobody has."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port
