"""A small site on one machine: agents' spools and forwarders, detectors, and the broker between them, as real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from prometheus_client.parser import text_string_to_metric_families

from bench.kafka.broker import free_port

ROOT = Path(__file__).parents[2]


def sample(port: int, name: str, **labels: str) -> float | None:
    """One sample of a service's metrics; None where it does not answer or has no such sample."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
    except OSError:
        return None
    found = [
        one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
        if one.name == name and labels.items() <= one.labels.items()
    ]
    return sum(found) if found else None


class Service:
    """One process of ours that can be killed and started again."""

    def __init__(self, name: str, folder: Path, words: Iterable[str | Path]) -> None:
        """folder: its state. words: after `python -m`."""
        self.name = name
        self.folder = folder
        self.log = folder / f"{name}.log"
        self._words = [str(word) for word in words]
        self.process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def start(self) -> None:
        """Start it; its words go to a log that grows over restarts."""
        environment = {**os.environ, "NIGRANI_STATE": str(self.folder)}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *self._words], cwd=ROOT, env=environment, stdout=log, stderr=log
            )

    def kill(self) -> None:
        """End at once."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        return self._end(signal.SIGTERM)

    def wait(self, seconds: float) -> int:
        """Wait for its own end. Raises TimeoutExpired."""
        assert self.process is not None
        return self.process.wait(seconds)

    @property
    def runs(self) -> bool:
        """Whether it does."""
        return self.process is not None and self.process.poll() is None

    def _end(self, number: int) -> int:
        if self.process is None:
            return 0
        self.process.send_signal(number)
        return self.process.wait(60)


class Agent:
    """The two processes of an agent: what offers events, and what forwards them."""

    def __init__(self, folder: Path, number: int, events: Path, rate: float, kafka: Mapping[str, Any]) -> None:
        self.number = number
        self.port = free_port()
        self.spool = folder / "bus"
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "agent.yaml"
        config.write_text(
            yaml.safe_dump(
                {
                    "name": f"agent-{number}",
                    "kafka": dict(kafka),
                    "bus": {"path": str(self.spool)},
                    "metrics": {"listen": f"127.0.0.1:{self.port}"},
                }
            )
        )
        offer = ("bench.transport.offer", "--events", events, "--spool", self.spool, "--rate", str(rate))
        self.offer = Service("offer", folder, offer)
        self.forward = Service("forward", folder, ("nigrani.cli", "agent", "forward", "--config", config))

    def start(self) -> None:
        """Both."""
        self.offer.start()
        self.forward.start()

    def kill(self) -> None:
        """Both, with kill -9."""
        self.offer.kill()
        self.forward.kill()


class Detector(Service):
    """A detector with a state folder and metrics of its own."""

    def __init__(self, folder: Path, number: int, kafka: Mapping[str, Any], **settings: Any) -> None:
        """settings: further sections of detector.yaml."""
        self.port = free_port()
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "detector.yaml"
        listen = {"listen": f"127.0.0.1:{self.port}"}
        config.write_text(yaml.safe_dump({"kafka": dict(kafka), "metrics": listen, **settings}))
        super().__init__(f"detector-{number}", folder, ("nigrani.cli", "detector", "run", "--config", config))
        self.config = config

    def metric(self, name: str, **labels: str) -> float | None:
        """One of its metrics."""
        return sample(self.port, name, **labels)


def wait_for(what: str, check: Any, seconds: float, step: float = 0.2) -> float:
    """Wait until a check holds; returns how long that took. Raises TimeoutError with the words."""
    began = time.monotonic()
    while not check():
        if time.monotonic() - began > seconds:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(step)
    return time.monotonic() - began


def told(path: Path) -> list[str]:
    """Ids of the findings in a file."""
    return [json.loads(line)["metadata"]["uid"] for line in path.read_bytes().splitlines()]
