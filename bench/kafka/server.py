"""A broker as a process of ours: started, frozen, killed and started again at the same port and with the same data.

It must be started by a thread that outlives it: when the starting thread ends, however it ends, Linux ends the broker.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Self

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

HOST = "127.0.0.1"
PORTS = range(20000, 32000)
"""Below those that the kernel gives to outgoing connections, so that a broker finds its port again."""
LONGEST_START = 90.0
LONGEST_STOP = 30.0
LEASH = "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9); os.execv(sys.argv[1], sys.argv[1:])"
"""PR_SET_PDEATHSIG, which outlives the exec: whoever started the broker takes it along."""


class StartError(Exception):
    """The broker did not come up; the message ends with the last lines of its log."""


def free_port() -> int:
    """A port of this host that nobody listens on."""
    while True:
        port = random.choice(PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            return port


class Server:
    """One broker; what it is and how it is run, its kinds say. Its data stay from one start to the next, until close."""

    kind: str
    """What it is, for people."""
    durable = True
    """What was acknowledged survives kill -9."""

    def __init__(self, folder: Path | None = None) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="kafka-") if folder is None else None
        self.folder = folder or Path(self._temporary.name)  # type: ignore[union-attr]
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.servers = f"{HOST}:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        """The program by its path and its arguments, made anew for each start."""
        raise NotImplementedError

    def client(self) -> dict[str, Any]:
        """What a client of kafka-python needs to be let in."""
        return {"bootstrap_servers": self.servers}

    def takes_part(self, admin: KafkaAdminClient) -> bool:
        """Whether a broker that answers already serves."""
        return bool(admin.list_topics() is not None)

    @property
    def log(self) -> Path:
        """What the broker said."""
        return self.folder / "log"

    def start(self) -> Self:
        """Start and return when the broker answers."""
        self.launch()
        self.wait()
        return self

    def stop(self, within: float = LONGEST_STOP) -> None:
        """End in good order, or at once if that takes longer."""
        self._end(signal.SIGTERM, within)

    def kill(self) -> None:
        """End at once, with kill -9."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Freeze: connections stay, answers do not come."""
        self.send(signal.SIGSTOP)

    def resume(self) -> None:
        """Go on after a pause."""
        self.send(signal.SIGCONT)

    def restart(self) -> None:
        """End in good order and start again with the same data."""
        self.stop()
        self.start()

    def close(self) -> None:
        """End at once and forget the data, unless the folder was given."""
        self.kill()
        atexit.unregister(self.kill)
        if self._temporary:
            self._temporary.cleanup()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def launch(self) -> None:
        """Start without waiting."""
        if self.process is not None:
            raise StartError("the broker runs already")
        command = [sys.executable, "-I", "-c", LEASH, *self.command()]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        atexit.register(self.kill)

    def wait(self) -> None:
        """Wait until the broker answers."""
        deadline = time.monotonic() + LONGEST_START
        while not self._answers():
            ended = self.process is None or self.process.poll() is not None
            if ended or time.monotonic() > deadline:
                self.kill()
                last = "\n".join(self.log.read_text(errors="replace").splitlines()[-30:])
                raise StartError(f"{self.kind} {'ended' if ended else 'does not answer'}; it said last:\n{last}")
            time.sleep(0.1)

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if it runs."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, number)

    def _answers(self) -> bool:
        """Whether the broker answers a client, and serves."""
        with socket.socket() as probe:
            if probe.connect_ex((HOST, self.port)) != 0:
                return False
        with contextlib.suppress(KafkaError), KafkaAdminClient(**self.client(), bootstrap_timeout_ms=2000) as admin:
            return self.takes_part(admin)
        return False

    def _end(self, number: signal.Signals, within: float = LONGEST_STOP) -> None:
        if self.process is None:
            return
        self.send(number)
        self.resume()
        try:
            self.process.wait(within)
        except subprocess.TimeoutExpired:
            self.send(signal.SIGKILL)
            self.process.wait(LONGEST_STOP)
        self.process = None
