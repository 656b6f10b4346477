"""The agent as it is run, killed with SIGKILL while its logs grow and are rotated: each line is told once, and in order."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from nigrani.stream.codec import decode
from nigrani.stream.events import AiInference
from nigrani.stream.spool import SpoolReader

ROOT = Path(__file__).parents[2]
KILLS = 6
LEAST = 1_000
"""Lines of each log."""


class Log:
    """A log that a server writes, each line with its own number."""

    def __init__(self, path: Path, client: str) -> None:
        self.path = path
        self.client = client
        self.written = 0
        path.touch()

    def write(self, lines: int) -> None:
        with self.path.open("a") as file:
            for _ in range(lines):
                self.written += 1
                line = {"msec": 1_790_000_000 + self.written, "client": self.client, "uri": "/v1/embeddings"}
                text = json.dumps({**line, "req_bytes": self.written}) + "\n"
                file.write(text[: len(text) // 2])
                file.flush()  # readers see half lines
                file.write(text[len(text) // 2 :])

    def rotate(self, *, copy: bool) -> None:
        for number in range(len(list(self.path.parent.glob(f"{self.path.name}.*"))), 0, -1):
            self._numbered(number).rename(self._numbered(number + 1))
        if copy:
            shutil.copy(self.path, self._numbered(1))
            os.truncate(self.path, 0)
        else:
            self.path.rename(self._numbered(1))
            self.path.touch()

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")


def agent(folder: Path, *logs: Log) -> subprocess.Popen[bytes]:
    files = {log.path.stem: {"path": str(log.path), "format": "ai-gateway", "beginning": True} for log in logs}
    config = folder / "agent.yaml"
    config.write_text(json.dumps({"logs": {"files": files}, "metrics": {"listen": "127.0.0.1:0"}}))
    command = [sys.executable, "-m", "nigrani.cli", "agent", "run", "--config", str(config)]
    return subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, "NIGRANI_STATE": str(folder / "state")}, stderr=subprocess.DEVNULL
    )


def told(folder: Path) -> list[AiInference]:
    if not (folder / "state" / "bus").is_dir():
        return []
    reader = SpoolReader(folder / "state" / "bus", "test")
    events = []
    while batches := reader.poll(1 << 10):
        events += [decode(line) for batch in batches for line in batch.lines.splitlines()]
    reader.close()
    return [event for event in events if isinstance(event, AiInference)]


def test_killed_again_and_again(tmp_path: Path) -> None:
    chance = random.Random(7)
    logs = Log(tmp_path / "renamed.log", "10.0.0.1"), Log(tmp_path / "copied.log", "10.0.0.2")
    process = agent(tmp_path, *logs)
    kept = [tmp_path / "state" / "sources" / f"{log.path.stem}.json" for log in logs]
    try:
        while not all(path.exists() for path in kept):  # from then on the agent knows the files
            assert process.poll() is None
            time.sleep(0.05)
        for kill in range(KILLS):
            end = time.monotonic() + 0.3 + chance.random()
            while time.monotonic() < end:
                for log in logs:
                    log.write(chance.randrange(30))
                time.sleep(0.01)
            process.send_signal(signal.SIGKILL)
            process.wait()
            for log in logs:
                log.write(50)
            if kill % 2:
                logs[0].rotate(copy=False)
                logs[1].rotate(copy=True)
            process = agent(tmp_path, *logs)
        end = time.monotonic() + 60
        while len(told(tmp_path)) < sum(log.written for log in logs) and time.monotonic() < end:
            time.sleep(0.5)
    finally:
        process.terminate()
        process.wait()
    events = told(tmp_path)
    hosts = {event.source: [one.request_bytes for one in events if one.source == event.source] for event in events}
    assert sorted(len(numbers) for numbers in hosts.values()) == sorted(log.written for log in logs)
    for numbers in hosts.values():
        assert numbers == list(range(1, len(numbers) + 1))
        assert len(numbers) > LEAST
    assert len({event.id for event in events}) == len(events)
