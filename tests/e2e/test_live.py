"""Live capture between two network namespaces that the test makes, with CAP_NET_RAW alone."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nigrani.stream.codec import decode
from nigrani.stream.events import AgentStatus, NetworkDns, NetworkFlow
from nigrani.stream.spool import SpoolReader

ROOT = Path(__file__).parents[2]
A, B = f"nigrani-a{os.getpid()}", f"nigrani-b{os.getpid()}"
QUESTION = bytes.fromhex("1234010000010000000000000770617469656e7404686f737004746573740000010001")


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=10)


def possible() -> bool:
    if os.geteuid() != 0 or not shutil.which("ip") or not shutil.which("setpriv"):
        return False
    made = subprocess.run(["ip", "netns", "add", A], capture_output=True, check=False, timeout=10).returncode == 0
    if made:
        ip("netns", "del", A)
    return made


pytestmark = pytest.mark.skipif(not possible(), reason="needs root, network namespaces and setpriv")


@pytest.fixture
def wire() -> Iterator[None]:
    ip("netns", "add", A)
    ip("netns", "add", B)
    try:
        ip("link", "add", "va", "netns", A, "type", "veth", "peer", "name", "vb", "netns", B)
        for space, link, address in ((A, "va", "10.99.0.1/24"), (B, "vb", "10.99.0.2/24")):
            ip("-n", space, "addr", "add", address, "dev", link)
            ip("-n", space, "link", "set", link, "up")
            ip("-n", space, "link", "set", "lo", "up")
        yield
    finally:
        ip("netns", "del", A)
        ip("netns", "del", B)


def inside(space: str, code: str) -> None:
    command = ["ip", "netns", "exec", space, sys.executable, "-c", code]
    subprocess.run(command, check=True, timeout=20, capture_output=True)


def test_packets_become_events(wire: None, tmp_path: Path) -> None:
    command = [
        "ip", "netns", "exec", A, "setpriv", "--inh-caps=-all,+net_raw", "--ambient-caps=-all,+net_raw",
        "--bounding-set=-all,+net_raw", sys.executable, "-m", "nigrani.cli", "agent", "run",
        "--set", "interfaces=[va]", "--set", f"bus.path={tmp_path / 'bus'}", "--set", "metrics.listen=127.0.0.1:0",
    ]  # fmt: skip
    environment = {**os.environ, "NIGRANI_STATE": str(tmp_path)}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE) as agent:
        deadline = time.monotonic() + 15
        while not list((tmp_path / "bus").glob("*.log")) and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(0.5)
        udp = "import socket; s=socket.socket(socket.AF_INET, socket.SOCK_DGRAM); "
        inside(B, udp + f"s.sendto({QUESTION!r}, ('10.99.0.1', 53))")
        inside(B, "import socket; s=socket.socket(); s.settimeout(2); s.connect_ex(('10.99.0.1', 104))")
        time.sleep(1.0)
        agent.send_signal(signal.SIGTERM)
        assert agent.wait(timeout=15) == 0, agent.stderr.read().decode() if agent.stderr else ""
    reader = SpoolReader(tmp_path / "bus", "test")
    lines = b"".join(batch.lines for batch in reader.poll(1000))
    events = [decode(line) for line in lines.splitlines()]
    flows = [event for event in events if isinstance(event, NetworkFlow)]
    assert any(flow.destination_port == 104 and flow.state == "REJ" for flow in flows)
    assert any(isinstance(event, NetworkDns) and event.name_length == 17 for event in events)
    status = [event for event in events if isinstance(event, AgentStatus)][-1]
    assert status.packets >= 3
    assert "kernel_dropped_packets" not in status.skipped
    assert b"10.99.0" not in lines
    assert b"patient" not in lines


def test_a_stopped_agent_counts_what_it_lost(wire: None, tmp_path: Path) -> None:
    """SIGSTOP while more comes than the ring holds; offered = metered + dropped."""
    command = [
        "ip", "netns", "exec", A, sys.executable, "-m", "nigrani.cli", "agent", "run",
        "--set", "interfaces=[va]", "--set", f"bus.path={tmp_path / 'bus'}", "--set", "metrics.listen=127.0.0.1:0",
    ]  # fmt: skip
    flood = (
        "import socket; s=socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0); s.bind(('vb', 0))\n"
        "frame = bytes(6) + bytes.fromhex('020000000001') + b'\\x88\\xb5' + bytes(300)\n"
        "for _ in range(60000): s.send(frame)"
    )
    environment = {**os.environ, "NIGRANI_STATE": str(tmp_path)}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE) as agent:
        deadline = time.monotonic() + 15
        while not list((tmp_path / "bus").glob("*.log")) and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(0.5)
        agent.send_signal(signal.SIGSTOP)
        inside(B, flood)
        agent.send_signal(signal.SIGCONT)
        time.sleep(2.5)
        agent.send_signal(signal.SIGTERM)
        assert agent.wait(timeout=15) == 0, agent.stderr.read().decode() if agent.stderr else ""
    reader = SpoolReader(tmp_path / "bus", "test")
    events = [decode(line) for batch in reader.poll(1000) for line in batch.lines.splitlines()]
    status = [event for event in events if isinstance(event, AgentStatus)][-1]
    dropped = status.skipped["kernel_dropped_packets"]
    assert dropped > 0
    assert status.skipped["other_packets"] + dropped >= 60_000
    assert status.packets + dropped < 60_100


def test_an_interface_that_is_not_there(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "nigrani.cli", "agent", "run", "--set", "interfaces=[nowhere0]"]
    environment = {**os.environ, "NIGRANI_STATE": str(tmp_path)}
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=20, check=False)
    assert result.returncode == 1
    assert result.stderr == "nigrani: interface nowhere0: there is none of that name\n"
