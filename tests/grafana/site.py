"""A small site under a real Prometheus: the sample morning judged, and an agent that captures and reads logs."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.grafana.asking import Prometheus
from tests.programs import free_port

ROOT = Path(__file__).parents[2]
MORNING = ROOT / "tests" / "data" / "morning"
RECORDS = ROOT / "config" / "prometheus" / "records.yml"
NTP_EPOCH = 2_208_988_800
"""Of 1900, in seconds before that of 1970."""


def can_capture() -> bool:
    """Whether an agent of ours may capture, on a cable that we may make."""
    return os.geteuid() == 0 and shutil.which("ip") is not None


@contextlib.contextmanager
def wire(name: str) -> Iterator[tuple[str, str]]:
    """Both ends of a cable that leads nowhere else."""
    near, far = f"{name}a", f"{name}b"
    subprocess.run(["ip", "link", "add", near, "type", "veth", "peer", "name", far], check=True, timeout=10)
    try:
        for end in (near, far):
            subprocess.run(["ip", "link", "set", end, "up"], check=True, timeout=10)
        yield near, far
    finally:
        subprocess.run(["ip", "link", "del", near], check=True, timeout=10)


def play(capture: Path, name: str, pace: float, stop: threading.Event, most: int = 1 << 30) -> None:
    """Send a capture's frames on an interface, so many times as fast as they came."""
    data = capture.read_bytes()
    place, first, began = 24, None, time.monotonic()
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as out:
        out.bind((name, 0))
        while place < len(data) and most and not stop.is_set():
            seconds, micro, kept, _ = struct.unpack_from("<IIII", data, place)
            at = seconds + micro / 1e6
            first = at if first is None else first
            stop.wait(max(began + (at - first) / pace - time.monotonic(), 0.0))
            out.send(data[place + 16 : place + 16 + kept])
            place, most = place + 16 + kept, most - 1


@contextlib.contextmanager
def time_server() -> Iterator[int]:
    """Tells the time of this host by NTP."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(0.2)
        stop = threading.Event()
        thread = threading.Thread(target=_tell, args=(server, stop))
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            stop.set()
            thread.join()


def _tell(server: socket.socket, stop: threading.Event) -> None:
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            asked, whom = server.recvfrom(512)
            now = struct.pack(">II", int(time.time()) + NTP_EPOCH, int(time.time() % 1 * 2**32))
            server.sendto(struct.pack(">BBbbIII", 0x24, 2, 6, -20, 0, 0, 0) + now + asked[40:48] + now + now, whom)


def nigrani(state: Path, *words: str | Path, log: Path) -> subprocess.Popen[bytes]:
    """One of its commands."""
    command = [sys.executable, "-m", "nigrani.cli", *map(str, words)]
    with log.open("ab") as told:
        return subprocess.Popen(command, cwd=ROOT, env={**os.environ, "NIGRANI_STATE": str(state)}, stdout=told, stderr=told)


def configuration(folder: Path, targets: dict[str, int], seconds: float) -> Path:
    """Of a Prometheus that scrapes these jobs and records by the shipped rules, both as often as is said here."""
    records = yaml.safe_load(RECORDS.read_text())
    for group in records["groups"]:
        group.pop("interval", None)
    (folder / "records.yml").write_text(yaml.safe_dump(records))
    jobs: list[dict[str, Any]] = [
        {"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{port}"], "labels": {"site": "sample"}}]}
        for job, port in targets.items()
    ]
    every = f"{seconds:g}s"
    asked = {
        "global": {"scrape_interval": every, "evaluation_interval": every},
        "rule_files": [str(folder / "records.yml")],
        "scrape_configs": jobs,
    }
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(asked))
    return path


@contextlib.contextmanager
def prometheus(program: str, folder: Path, targets: dict[str, int], seconds: float = 1.0) -> Iterator[Prometheus]:
    """It, once it answers and scrapes, so that no counter is seen for the first time where it is no longer 0."""
    port = free_port()
    command = [
        program, f"--config.file={configuration(folder, targets, seconds)}", f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.retention.time=10y",
    ]  # fmt: skip
    log = folder / "prometheus.log"
    with log.open("ab") as told, ended(subprocess.Popen(command, stdout=told, stderr=told)) as process:
        until(lambda: answers(f"http://127.0.0.1:{port}/-/ready"), 20, log, process)
        asked = Prometheus(f"http://127.0.0.1:{port}")
        until(lambda: len(asked.now("up")) == len(targets), 30, log, process)  # it looks for its targets after five seconds
        yield asked


@contextlib.contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Ends with the block."""
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def answers(url: str) -> bool:
    """Whether there is an answer."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def until(holds: Callable[[], bool], seconds: float, log: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait until something is so, as long as the process that should bring it about is there."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, log.read_text(errors="replace")[-2000:]
        assert process.poll() is None, log.read_text(errors="replace")[-2000:]
        time.sleep(0.1)


def gateway_lines() -> list[str]:
    """Lines of the sample morning's gateway, to be written again with times of today."""
    return (MORNING / "ai-gateway.log").read_text().splitlines()


def line_now(line: str) -> str:
    """A gateway's line, as if it were of this moment."""
    told = json.loads(line)
    return json.dumps({**told, "msec": round(time.time(), 3)})


def work(state: Path) -> None:
    """What people do: one case closed as a false alarm, of an anomaly where there is one, and one taken."""
    listed = [json.loads(line) for line in case(state, "list", "--json").splitlines()]
    first, *others = sorted(listed, key=lambda one: not one["kind"].startswith("anomaly-"))
    case(state, "close", str(first["number"]), "--verdict", "false-alarm", "--text", "a backup that was planned")
    case(state, "ack", str(others[0]["number"]))


def case(state: Path, *words: str) -> str:
    """What `nigrani case` prints."""
    command = [sys.executable, "-m", "nigrani.cli", "case", *words]
    environment = {**os.environ, "NIGRANI_STATE": str(state)}
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, timeout=30, capture_output=True, text=True)
    return done.stdout
