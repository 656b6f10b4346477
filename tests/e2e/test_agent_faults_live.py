"""What befalls an agent that watches the wire: interfaces that go away, and floods."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nigrani.stream.events import AgentStatus, NetworkFlow
from tests.agent.packets import START, Frame, pcap, segment
from tests.e2e.agents import ROOT, Agent, events, running

NEAR, FAR = f"nigrani-n{os.getpid()}", f"nigrani-f{os.getpid()}"
NEW_FLOWS = 100_000
"""Of the flood, a second."""
SECONDS = 2


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=10)


def possible() -> bool:
    if os.geteuid() != 0 or not shutil.which("ip"):
        return False
    made = subprocess.run(["ip", "netns", "add", NEAR], capture_output=True, check=False, timeout=10).returncode == 0
    if made:
        ip("netns", "del", NEAR)
    return made


pytestmark = pytest.mark.skipif(not possible(), reason="needs root and network namespaces")


def wire() -> None:
    """A silent wire from `va`, in the near namespace, to `vb`."""
    ip("link", "add", "va", "netns", NEAR, "type", "veth", "peer", "name", "vb", "netns", FAR)
    for space, link in ((NEAR, "va"), (FAR, "vb")):
        ip("-n", space, "link", "set", link, "up")


@pytest.fixture
def spaces() -> Iterator[None]:
    for space in (NEAR, FAR):
        ip("netns", "add", space)
        quiet = ["sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1"]
        subprocess.run(["ip", "netns", "exec", space, *quiet], check=True, timeout=10)
        ip("-n", space, "link", "set", "lo", "up")
    wire()
    yield
    for space in (NEAR, FAR):
        ip("netns", "del", space)


def send(*packets: bytes) -> None:
    """Put packets onto the far end."""
    code = "import socket, sys; s=socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0); s.bind(('vb', 0))\n" + "".join(
        f"s.send(bytes.fromhex('{packet.hex()}'))\n" for packet in packets
    )
    subprocess.run(["ip", "netns", "exec", FAR, sys.executable, "-c", code], check=True, capture_output=True, timeout=20)


def metrics(agent: Agent) -> dict[str, float]:
    """The agent's, whose loopback is another."""
    code = f"import urllib.request as r; print(r.urlopen('{agent.url}', timeout=1).read().decode())"
    command = ["ip", "netns", "exec", NEAR, sys.executable, "-c", code]
    text = subprocess.run(command, check=True, capture_output=True, timeout=20, text=True).stdout
    return {
        name: float(value)
        for name, _, value in (line.rpartition(" ") for line in text.splitlines())
        if name[:1] != "#" and name
    }


def until(agent: Agent, name: str, wanted: float) -> None:
    end = time.monotonic() + 10
    while metrics(agent)[name] != wanted:
        assert time.monotonic() < end, agent.said()


def test_an_interface_that_goes_down_and_is_deleted(spaces: None, tmp_path: Path) -> None:
    """It is told as gone, watched again once it is back, and packets are seen as before."""
    before = ("ip", "netns", "exec", NEAR)
    with running(tmp_path, "interfaces=[va]", before=before) as agent:
        agent.ready()
        send(segment(1, b"x", client=("10.0.0.1", 1001)))
        time.sleep(0.5)
        ip("-n", NEAR, "link", "set", "va", "down")
        until(agent, "nigrani_agent_interfaces_up", 0)
        ip("-n", NEAR, "link", "set", "va", "up")
        until(agent, "nigrani_agent_interfaces_up", 1)
        send(segment(1, b"x", client=("10.0.0.1", 1002)))
        time.sleep(0.5)
        ip("-n", NEAR, "link", "del", "va")
        until(agent, "nigrani_agent_interfaces_up", 0)
        wire()
        until(agent, "nigrani_agent_interfaces_up", 1)
        send(segment(1, b"x", client=("10.0.0.1", 1003)))
        time.sleep(0.5)
        agent.stop()
        assert agent.said().count("interface va: is down or gone") == 2
        assert agent.said().count("interface va: is back") == 2
    flows = [event for event in events(tmp_path) if isinstance(event, NetworkFlow)]
    assert sorted(flow.source_port for flow in flows) == [1001, 1002, 1003]


@pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler, for a sender that is fast enough")
def test_a_flood_of_new_flows(spaces: None, tmp_path: Path) -> None:
    """Memory is bounded, metrics answer, what goes is counted, and a conversation that goes on stays one flow."""
    sender, flood = tmp_path / "send", tmp_path / "flood.pcap"
    subprocess.run(["cc", "-O2", "-o", sender, ROOT / "bench" / "live" / "send.c"], check=True, timeout=60)
    count = NEW_FLOWS * SECONDS
    template = bytearray(segment(1, flags="S", client=("10.1.0.0", 40_000)))
    frames = []
    for number in range(count):
        struct.pack_into(">I", template, 26, 0x0A010000 + number)
        frames.append(Frame(START, bytes(template), len(template)))
    flood.write_bytes(pcap(frames))
    del frames
    before = ("ip", "netns", "exec", NEAR)
    with running(tmp_path, "interfaces=[va]", "meter.capacity=32768", before=before) as agent:
        agent.ready()
        stop = threading.Event()
        talk = threading.Thread(target=_talk, args=(stop,))
        talk.start()
        time.sleep(0.5)
        words = ["ip", "netns", "exec", FAR, sender, "vb", flood, str(NEW_FLOWS), str(SECONDS)]
        with subprocess.Popen(words, stdout=subprocess.PIPE) as sending:
            memory = []
            while sending.poll() is None:
                metrics(agent)
                memory.append(agent.memory())
        stop.set()
        talk.join()
        time.sleep(1.0)
        told = metrics(agent)
        agent.stop()
    assert max(memory) < 96 << 20
    status = [event for event in events(tmp_path) if isinstance(event, AgentStatus)][-1]
    assert status.skipped["evicted_flows"] > count // 4
    flows = [event for event in events(tmp_path, "flows") if isinstance(event, NetworkFlow)]
    assert len(flows) + status.skipped.get("untold_records", 0) == told["nigrani_agent_flows_total"]
    (steady,) = {flow.flow for flow in flows if flow.source_port == 7777}
    assert steady


def _talk(stop: threading.Event) -> None:
    """A conversation with a message and an answer every twentieth of a second."""
    code = (
        "import socket, sys, time; s=socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0); s.bind(('vb', 0))\n"
        "while sys.stdin.readline(): s.send(bytes.fromhex('{}')); s.send(bytes.fromhex('{}'))"
    ).format(*(segment(1, b"x", "PA", client=("10.0.0.1", 7777), back=back).hex() for back in (False, True)))
    command = ["ip", "netns", "exec", FAR, sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as talker:
        assert talker.stdin is not None
        while not stop.wait(0.05):
            talker.stdin.write(b"\n")
            talker.stdin.flush()
        talker.stdin.close()
