"""`nigrani agent forward` as a process; with a broker in tests/kafka/test_forwarder.py."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import pytest

from nigrani.stream.spool import Spool
from tests.agent.packets import ROOT
from tests.agent.test_forwarder import line


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a spool in it."""
    with Spool.open(tmp_path / "bus") as spool:
        spool.publish(line(0) + b"\n", 1)
    return tmp_path


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "nigrani.cli", "agent", "forward", *words]


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "NIGRANI_STATE": str(folder / "state")}


def run(folder: Path, *words: str) -> tuple[int, str]:
    done = subprocess.run(
        command(*words), cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == ""
    return done.returncode, done.stderr


def test_it_needs_servers(folder: Path) -> None:
    assert run(folder, "--bus", "bus") == (
        78,
        "nigrani: configuration: no Kafka to forward to (set kafka.servers, such as [kafka-1:9092])\n",
    )


def test_it_needs_a_spool(folder: Path) -> None:
    code, said = run(folder, "--bus", "nowhere", "--set", "kafka.servers=[127.0.0.1:1]")
    assert code == 1
    assert "nowhere holds no spool" in said
    assert not (folder / "nowhere").exists()


def test_wrong_settings_are_told(folder: Path) -> None:
    code, said = run(folder, "--set", "kafka.servers=[nowhere]", "--set", "kafka.wire=smoke")
    assert code == 78
    assert "kafka.wire" in said


def test_an_empty_spool_needs_no_broker(tmp_path: Path) -> None:
    Spool.open(tmp_path / "bus").close()
    words = ("--bus", "bus", "--until-empty", "--set", "kafka.servers=[127.0.0.1:1]", "--set", "metrics.listen=127.0.0.1:0")
    assert run(tmp_path, *words) == (0, "")


def test_sigterm_ends_it_in_good_order_though_kafka_is_down(folder: Path) -> None:
    port = 29_000 + os.getpid() % 1000
    words = ["--bus", "bus", "--set", "kafka.servers=[127.0.0.1:1]", "--set", f"metrics.listen=127.0.0.1:{port}"]
    process = subprocess.Popen(command(*words), cwd=folder, env=environment(folder), stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        said = process.stderr.readline()
        assert "no broker can be reached" in said
        shown = ""
        for _ in range(50):
            with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
                shown = answer.read().decode()
            if 'nigrani_agent_forward_trouble{kind="unreachable"} 1.0' in shown:
                break
            time.sleep(0.1)
        else:
            pytest.fail(shown)
        begin = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert time.monotonic() - begin < 15
        assert process.stderr.read() == ""
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
