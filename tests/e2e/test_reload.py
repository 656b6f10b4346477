"""SIGHUP at a running agent: what is new is applied or refused, and no line, event or packet is lost or doubled."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Queue
from typing import Self

import pytest

from nigrani.stream.codec import decode
from nigrani.stream.event import Event
from nigrani.stream.events import AgentStatus, AiInference
from nigrani.stream.spool import SpoolReader

ROOT = Path(__file__).parents[2]
LINE = '{{"msec": {}, "client": "10.0.{}.{}", "uri": "/v2/models/chest/infer", "method": "POST", "status": 200}}\n'
WITHIN = 20.0
"""Seconds that a busy machine may take for anything."""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def until(true: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + WITHIN
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


class Agent:
    """`nigrani agent run` on log files, with systemd's socket and the configuration to hand."""

    def __init__(self, folder: Path, *prefix: str, **config: object) -> None:
        self.folder = folder
        self.path = folder / "agent.yaml"
        self.port = free_port()
        self.log = folder / "gateway.log"
        self.log.touch()
        self.config: dict[str, object] = {
            "logs": {"files": {"gateway": {"path": str(self.log), "format": "ai-gateway", "beginning": True}}},
            "metrics": {"listen": f"127.0.0.1:{self.port}"},
            **config,
        }
        self.write()
        self.told: list[bytes] = []
        self._messages: Queue[bytes] = Queue()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(folder / "notify"))
        self._listening = threading.Thread(target=self._listen)
        self._listening.start()
        environment = {**os.environ, "NIGRANI_STATE": str(folder), "NOTIFY_SOCKET": str(folder / "notify")}
        self.errors = (folder / "errors").open("wb")
        command = [*prefix, sys.executable, "-m", "nigrani.cli", "agent", "run", "--config", str(self.path)]
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=self.errors)

    def write(self, **changes: object) -> None:
        self.config |= changes
        self.path.write_text(json.dumps(self.config))

    def hear(self, state: bytes) -> bytes:
        """Wait for a message to systemd that has this state."""
        while True:
            message = self._messages.get(timeout=WITHIN)
            self.told.append(message)
            if state in message.split(b"\n"):
                return message

    def _listen(self) -> None:
        while message := self.socket.recv(4096):
            if not message.startswith(b"WATCHDOG"):
                self._messages.put(message)

    def reload(self) -> str:
        """Send SIGHUP; how it went."""
        self.process.send_signal(signal.SIGHUP)
        self.hear(b"RELOADING=1")
        return self.hear(b"READY=1").decode().rpartition(" ")[2]

    def metric(self, name: str, port: int = 0) -> float:
        with urllib.request.urlopen(f"http://127.0.0.1:{port or self.port}/metrics", timeout=WITHIN) as answer:
            lines = answer.read().decode().splitlines()
        return float(next(line.rpartition(" ")[2] for line in lines if line.startswith(f"{name} ")))

    def said(self) -> str:
        return (self.folder / "errors").read_text()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self.errors.close()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", str(self.folder / "notify"))
        self._listening.join()
        self.socket.close()

    def stop(self) -> list[Event]:
        """End it well; its events, in order."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(WITHIN) == 0, self.said()
        reader = SpoolReader(self.folder / "bus", "test")
        lines = [line for batch in iter(lambda: reader.poll(1000), []) for one in batch for line in one.lines.splitlines()]
        reader.close()
        events = [decode(line) for line in lines]
        assert [event.sequence for event in events] == list(range(len(events))), "events out of order, lost or doubled"
        assert len({event.id for event in events}) == len(events)
        return events


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    with Agent(tmp_path) as made:
        made.hear(b"READY=1")
        yield made


def test_lines_written_during_reloads_come_exactly_once(agent: Agent) -> None:
    """The source is closed and opened again each time, in the middle of whatever is being written."""
    written = 0
    over = threading.Event()

    def write() -> None:
        nonlocal written
        with agent.log.open("a", buffering=1) as file:
            while not over.is_set() or not written:
                file.write(LINE.format(1_700_000_000 + written, written >> 8 & 255, written & 255)[:40])
                file.flush()
                file.write(LINE.format(1_700_000_000 + written, written >> 8 & 255, written & 255)[40:])
                written += 1
                if written % 50 == 0:
                    time.sleep(0.002)

    writer = threading.Thread(target=write)
    writer.start()
    results = []
    for number in range(8):
        beginning = {"beginning": bool(number % 2)}
        agent.config["logs"]["files"]["gateway"] |= beginning  # type: ignore[index]
        agent.write(privacy={"zones": {"ai": [f"10.{number}.0.0/16"]}})
        results.append(agent.reload())
        time.sleep(0.05)
    over.set()
    writer.join()
    until(lambda: agent.process.poll() is not None or agent.metric("nigrani_agent_events_total") >= written, "events")
    events = agent.stop()
    asked = [event for event in events if isinstance(event, AiInference)]
    assert results == ["applied"] * 8
    assert len(asked) == written > 100
    assert {event.source_zone for event in asked} >= {"ai", "internal"}, "zones took effect under way"


def test_a_faulty_configuration_is_refused_with_every_fault_and_the_old_one_stays(agent: Agent) -> None:
    agent.path.write_text(
        "logs:\n  files:\n    gateway: {path: /x, format: klingon}\nmeter:\n  capacity: 1\ninterfacs: [lo]\n"
        "privacy:\n  zones:\n    ct: [10.0.0.300/8]\ncapture:\n  exclude: [udp or tcp]\n"
    )
    assert agent.reload() == "refused"
    agent.path.unlink()
    assert agent.reload() == "refused"
    said = agent.said()
    for line, what in ((3, "klingon"), (5, "capacity"), (6, "did you mean interfaces"), (9, "10.0.0.300"), (11, "exclude")):
        assert [one for one in said.splitlines() if f"{agent.path}:{line}: " in one and what in one], (line, said)
    assert "No such file" in said
    with agent.log.open("a") as file:
        file.write(LINE.format(1_700_000_000, 0, 1))
    until(lambda: agent.metric("nigrani_agent_events_total") >= 1, "the old configuration is at work")
    assert agent.metric('nigrani_agent_config_reloads_total{result="refused"}') == 2
    assert agent.metric("nigrani_agent_config_last_reload_successful") == 0
    agent.write()
    assert agent.reload() == "unchanged"
    assert agent.metric("nigrani_agent_config_last_reload_successful") == 1
    agent.stop()


def test_what_cannot_be_applied_is_put_back(agent: Agent, tmp_path: Path) -> None:
    """A new source of lines is opened, then the metrics' port turns out to be taken."""
    files = dict(agent.config["logs"]["files"])  # type: ignore[index]
    other = tmp_path / "other.log"
    other.touch()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        agent.write(
            logs={"files": {**files, "other": {"path": str(other), "format": "ai-gateway"}}},
            metrics={"listen": f"127.0.0.1:{taken.getsockname()[1]}"},
        )
        assert agent.reload() == "failed"
    assert "cannot serve metrics" in agent.said()
    assert agent.metric('nigrani_agent_config_reloads_total{result="failed"}') == 1, "served where it was"
    assert agent.metric('nigrani_agent_log_lines_total{source="gateway"}') == 0
    with pytest.raises(StopIteration):
        agent.metric('nigrani_agent_log_lines_total{source="other"}')
    assert agent.reload() == "applied", "the port is free now"
    port = int(str(agent.config["metrics"]["listen"]).rpartition(":")[2])  # type: ignore[index]
    assert agent.metric('nigrani_agent_log_lines_total{source="other"}', port) == 0
    agent.stop()


def test_what_takes_effect_at_the_next_start_is_said(agent: Agent) -> None:
    agent.write(meter={"capacity": 4096}, bus={"max_bytes": 1 << 28})
    assert agent.reload() == "applied"
    for name in ("meter.capacity", "bus.max_bytes"):
        assert f"{name}: takes effect at the next start" in agent.said()
    agent.stop()


def test_systemd_hears_when_a_reload_begins_and_that_it_is_over(agent: Agent) -> None:
    before = time.monotonic_ns() // 1000
    agent.reload()
    begun, done = agent.told[-2:]
    assert begun.startswith(b"RELOADING=1\nMONOTONIC_USEC=")
    assert before <= int(begun.rpartition(b"=")[2]) <= time.monotonic_ns() // 1000
    assert done == b"READY=1\nSTATUS=configuration unchanged"
    assert agent.told[0].startswith(b"READY=1\nSTATUS=")


def test_a_signal_before_the_agent_is_ready_does_not_end_it(tmp_path: Path) -> None:
    with Agent(tmp_path) as agent:
        status = Path(f"/proc/{agent.process.pid}/status")
        hup = 1 << (signal.SIGHUP - 1)
        until(lambda: int(status.read_text().partition("SigCgt:")[2].split()[0], 16) & hup, "SIGHUP is caught")
        agent.process.send_signal(signal.SIGHUP)
        assert agent.hear(b"READY=1").startswith(b"READY=1\nSTATUS=0 packets/s"), "not ready before the signal"
        assert agent.hear(b"READY=1").endswith(b"configuration unchanged"), "the signal was kept for when it was"
        agent.stop()


SPACE = f"nigrani-r{os.getpid()}"
SEND = """
import socket, struct, time
out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
out.bind(("vb", 0))
for number in range(4000):
    out.send(bytes(12) + b"\\x88\\xb5" + number.to_bytes(4, "big") + bytes(60))
    time.sleep(0.0005)
"""


def ip(*words: str) -> int:
    return subprocess.run(["ip", *words], check=False, capture_output=True, timeout=10).returncode


@pytest.fixture
def wire() -> Iterator[None]:
    if os.geteuid() != 0 or not shutil.which("ip") or ip("netns", "add", SPACE):
        pytest.skip("needs root and network namespaces")
    ip("-n", SPACE, "link", "add", "va", "type", "veth", "peer", "name", "vb")
    for link in ("lo", "va", "vb"):
        ip("-n", SPACE, "link", "set", link, "up")
    yield
    ip("netns", "del", SPACE)


def test_a_capture_is_changed_under_way(wire: None, tmp_path: Path) -> None:
    """Other filters lose no packet, another ring at most those of a moment; what is not there leaves all as it was."""
    inside = ("ip", "netns", "exec", SPACE)
    with Agent(tmp_path, *inside, interfaces=["va"], capture={"exclude": ["tcp port 9"]}) as agent:
        agent.hear(b"READY=1")
        with subprocess.Popen([*inside, sys.executable, "-c", SEND]) as sender:
            for number in range(6):
                time.sleep(0.1)
                agent.write(capture={"exclude": [f"tcp port {number + 10}"], "snap": 200 + number})
                assert agent.reload() == "applied"
            agent.write(interfaces=["va", "nowhere0"])
            assert agent.reload() == "failed"
            agent.write(interfaces=["va"])
            assert agent.reload() == "unchanged"
            assert sender.wait(WITHIN) == 0
        time.sleep(0.3)
        agent.write(capture={"ring_bytes": 2 << 20})
        with subprocess.Popen([*inside, sys.executable, "-c", SEND]) as sender:
            time.sleep(0.3)
            assert agent.reload() == "applied"
            agent.write(capture={"ring_bytes": 4 << 20}, interfaces=["va", "lo"])
            assert agent.reload() == "applied"
            assert sender.wait(WITHIN) == 0
        time.sleep(0.5)
        first, *_, status = [event for event in agent.stop() if isinstance(event, AgentStatus)]
        assert "interface nowhere0: there is none of that name" in agent.said()
        assert (first.interfaces_up, status.interfaces_up, status.interfaces_down) == (1, 2, 0)
        assert status.reloads == 9, "those applied and the one that failed, not the one that changed nothing"
        assert first.configuration != status.configuration
        assert 8000 - 20 <= status.skipped["other_packets"] <= 8000
        assert "kernel_dropped_packets" not in status.skipped
