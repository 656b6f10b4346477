"""`nigrani detector run`: the service as systemd runs it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nigrani.stream.codec import encode_lines
from nigrani.stream.spool import Spool
from tests.detector.rule_files import rule, write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.detector.conftest import Maker, Run

ROOT = Path(__file__).parents[3]


class Running:
    """The service in a process of its own."""

    def __init__(self, state: Path, *options: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.notices = state.parent / "notify"
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(str(self.notices))
        self._notify.settimeout(30)
        words = [sys.executable, "-m", "nigrani.cli", "detector", "run", "--set", f"metrics.listen=127.0.0.1:{self.port}"]
        words += ["--set", "page.listen=127.0.0.1:0", *options]
        environment = {**os.environ, "NOTIFY_SOCKET": str(self.notices)}
        self.process = subprocess.Popen(words, cwd=ROOT, env=environment, stderr=subprocess.PIPE)

    def notice(self) -> str:
        """What it tells systemd next."""
        return self._notify.recv(1024).decode()

    def metric(self, line: str) -> float | None:
        """The value of one series."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        return next((float(row.rpartition(" ")[2]) for row in text.splitlines() if row.startswith(line)), None)

    def await_metric(self, line: str, value: float) -> None:
        """Wait until the series has the value."""
        until = time.monotonic() + 20
        while self.metric(line) != value:
            assert time.monotonic() < until, f"{line} is {self.metric(line)}"
            time.sleep(0.05)

    def stop(self, number: signal.Signals) -> tuple[int, bytes]:
        """Its exit code and what it said."""
        self.process.send_signal(number)
        _, told = self.process.communicate(timeout=30)
        return self.process.returncode, told

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
        self._notify.close()


@pytest.fixture
def running(state: Path) -> Iterator[Running]:
    service = Running(state)
    yield service
    service.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_it_is_told_to_stop(make: Maker, running: Running, state: Path, number: signal.Signals) -> None:
    assert running.notice() == "READY=1"
    spool = Spool.open(state / "bus")
    scan = make.scan()
    spool.publish(encode_lines(scan), len(scan))
    spool.close()
    running.await_metric('nigrani_events_total{dataset="network.flow"}', len(scan))
    assert running.metric('nigrani_alerts_total{kind="port_scan",severity="high",source="rule"}') == 1
    assert running.metric("nigrani_baseline_learning") == 1
    assert running.notice() == "WATCHDOG=1"
    code, told = running.stop(number)
    assert (code, told) == (0, b"")
    [finding] = (state / "alerts.ndjson").read_bytes().splitlines()
    assert json.loads(finding)["message"] == "Port scan"


def test_a_bad_configuration_is_exit_code_78(nigrani: Run, tmp_path: Path) -> None:
    path = tmp_path / "detector.yaml"
    path.write_text("alerts:\n  false_alarms_per_week: 0\nbuss: {}\n")
    done = nigrani("detector", "run", "--config", path)
    assert done.returncode == 78
    assert f"{path}:3: unknown setting buss (did you mean bus?)" in done.stderr.decode()


def test_a_port_that_is_taken_is_told(nigrani: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        done = nigrani("detector", "run", "--set", f"metrics.listen={listen}", "--set", "page.listen=127.0.0.1:0")
    assert done.returncode == 1
    [line] = done.stderr.decode().splitlines()
    assert line.startswith(f"nigrani: cannot serve metrics on {listen}: ")


def test_a_bus_that_cannot_be_used_is_told(nigrani: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = nigrani("detector", "run", "--set", f"bus.path={tmp_path}/file")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert str(tmp_path / "file") in done.stderr.decode()


def test_a_baseline_that_must_not_be_used_is_told(nigrani: Run, state: Path) -> None:
    state.mkdir()
    (state / "baseline.npz").write_bytes(b"hello")
    done = nigrani("detector", "run", "--set", "metrics.listen=127.0.0.1:0")
    assert done.returncode == 1
    [line] = done.stderr.decode().splitlines()
    assert line == f"nigrani: {state}/baseline.npz: the file is not a baseline"


def test_sighup_loads_the_rules_and_faults_leave_those_before(make: Maker, state: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    service = Running(state, "--set", f"rules=[{site}]", "--set", "rule_files.seconds=0")
    try:
        assert service.notice() == "READY=1"
        before = service.metric("nigrani_rules_loaded")
        assert before
        write(site / "own.yml", rule())
        service.process.send_signal(signal.SIGHUP)
        service.await_metric("nigrani_rules_loaded", before + 1)
        write(site / "bad.yml", rule("bad", level="severe"))
        service.process.send_signal(signal.SIGHUP)
        service.await_metric("nigrani_rules_load_failures_total", 1)
        assert service.metric("nigrani_rules_loaded") == before + 1
        with Spool.open(state / "bus") as spool:
            spool.publish(encode_lines([make.dicom("c-find")]), 1)
        service.await_metric('nigrani_alerts_total{kind="own",severity="high",source="rule"}', 1)
        code, told = service.stop(signal.SIGTERM)
    finally:
        service.close()
    assert code == 0
    assert f"{site}/bad.yml:4: `severe` is no level; use one of" in told.decode()
