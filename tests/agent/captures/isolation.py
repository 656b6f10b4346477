"""A scenario of a test, run as root in a network namespace of its own, with a wire of two ends, `va` and `vb`, in it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from struct import pack

import pytest

from agent.captures.live import LiveCapture
from agent.flow import FlowRecord
from agent.meter import Meter

ROOT = Path(__file__).parents[3]


def possible() -> bool:
    """Whether namespaces can be made here."""
    if os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("ip"):
        return False
    command = ["unshare", "--net", "ip", "link", "add", "va", "type", "veth", "peer", "name", "vb"]
    return subprocess.run(command, capture_output=True, timeout=10, check=False).returncode == 0


needs_namespaces = pytest.mark.skipif(not possible(), reason="needs root and network namespaces")


def isolated(scenario: Callable[[], None]) -> None:
    """Run a function of a test module; what it asserts is asserted here."""
    code = (
        f"from {scenario.__module__} import {scenario.__name__} as scenario; from {__name__} import wire; wire(); scenario()"
    )
    command = ["unshare", "--net", sys.executable, "-c", code]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT, env=environment, check=False)
    assert done.returncode == 0, done.stderr


def ip(*words: str) -> str:
    """Run ip(8)."""
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True, timeout=10).stdout


def wire(near: str = "va", far: str = "vb") -> None:
    """Make a wire, silent but for what is sent over it."""
    for kind in ("all", "default"):
        Path(f"/proc/sys/net/ipv6/conf/{kind}/disable_ipv6").write_text("1", encoding="ascii")
    ip("link", "add", near, "type", "veth", "peer", "name", far)
    for name in (near, far, "lo"):
        ip("link", "set", name, "up")


def udp(port: int, payload: bytes = b"", *, tag: int = 0, target: bytes = b"\xff" * 6) -> bytes:
    """A frame from 10.0.0.1 to 10.0.0.2."""
    size = len(payload)
    head = pack(">BBHHHBBH4B4B", 0x45, 0, 28 + size, 1, 0, 64, 17, 0, 10, 0, 0, 1, 10, 0, 0, 2)
    vlan = pack(">HH", 0x8100, tag) if tag else b""
    return target + b"\2\0\0\0\0\1" + vlan + b"\x08\0" + head + pack(">HHHH", 40_000, port, 8 + size, 0) + payload


def udp6(port: int) -> bytes:
    """A frame from 2001:db8::1 to 2001:db8::2."""
    ends = b"".join(bytes.fromhex("20010db8") + bytes(11) + bytes([last]) for last in (1, 2))
    return (
        b"\xff" * 6 + b"\2\0\0\0\0\1\x86\xdd" + pack(">IHBB", 6 << 28, 8, 17, 64) + ends + pack(">HHHH", 40_000, port, 8, 0)
    )


def send(name: str, *frames: bytes) -> None:
    """Put frames onto an interface."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as out:
        out.bind((name, 0))
        for frame in frames:
            out.send(frame)


class Watcher:
    """A capture with its meter."""

    def __init__(self, capture: LiveCapture) -> None:
        self.capture = capture
        self.payloads: list[tuple[int, int]] = []
        """Destination port and captured length of each first payload."""
        self.meter = Meter(self._identify)

    def _identify(self, transport: str, payload: bytes, source: int, target: int) -> None:
        self.payloads.append((target, len(payload)))

    def read(self, seconds: float = 0.4) -> int:
        """What comes within this time."""
        end = time.monotonic() + seconds
        count = 0
        while time.monotonic() < end:
            count += self.capture.read(self.meter, 0.05)
        return count

    def ports(self) -> dict[int, int]:
        """Destination port → packets, of everything since the start."""
        self.meter.close()
        ports: dict[int, int] = {}
        for record in self.meter.drain():
            if isinstance(record, FlowRecord) and record.ends.protocol == 17:
                port = record.ends.destination_port
                ports[port] = ports.get(port, 0) + record.source[0] + record.destination[0]
        return ports
