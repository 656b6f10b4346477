"""Live capture: what it refuses, and the ring on the loopback interface of a namespace of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from agent.captures.live import LiveCapture
from nigrani.service.errors import Problem

ROOT = Path(__file__).parents[3]

LOOK = """
import os, socket
from agent.captures.live import LiveCapture
from agent.meter import Meter
meter = Meter(lambda *_: None)
capture = LiveCapture("lo")
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
count = 0
for number in range(3000):
    sender.sendto(bytes(number % 900), ("127.0.0.1", 9000 + number % 7))
    if number % 500 == 0:
        count += capture.read(meter, 0.01)
while more := capture.read(meter, 0.2):
    count += more
packets, dropped = capture.statistics()
capture.close()
meter.close()
records = [record for record in meter.drain() if record.ends.protocol == 17]
print(len(records), sum(record.source[0] for record in records), sum(record.source[2] for record in records), dropped)
"""


def test_no_such_interface() -> None:
    with pytest.raises(Problem, match="interface nowhere0: there is none of that name"):
        LiveCapture("nowhere0")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give the right away")
def test_without_the_right_to_watch() -> None:
    code = "from agent.captures.live import LiveCapture\nLiveCapture('lo')"
    command = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, timeout=20, cwd=ROOT, check=False)
    assert "needs CAP_NET_RAW" in result.stderr


def raw_sockets() -> bool:
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
    except (OSError, AttributeError):
        return False
    return os.geteuid() == 0


@pytest.mark.skipif(not raw_sockets(), reason="needs root for a namespace of its own")
def test_every_packet_once_with_its_whole_size() -> None:
    """Loopback shows each packet on its way out and in; payloads beyond the snap length are counted, not copied."""
    command = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$0" -c "$1"', sys.executable, LOOK]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT, check=False)
    assert result.returncode == 0, result.stderr
    records, packets, payload, dropped = map(int, result.stdout.split())
    assert (packets, dropped) == (3000, 0)
    assert payload == sum(number % 900 for number in range(3000))
    assert records == 7
