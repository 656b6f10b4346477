"""Live capture: what it refuses, and what it sees in a namespace of its own."""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from struct import pack

import pytest

from agent.captures.live import GATHER, LiveCapture
from agent.captures.settings import CaptureSettings
from agent.meter import Meter
from nigrani.service.errors import Problem
from tests.agent.captures.isolation import Watcher, ip, isolated, needs_namespaces, send, udp, udp6, wire

ROOT = Path(__file__).parents[3]


def test_no_such_interface() -> None:
    with pytest.raises(Problem, match="interface nowhere0: there is none of that name"):
        LiveCapture("nowhere0")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give the right away")
def test_without_the_right_to_watch() -> None:
    code = "from agent.captures.live import LiveCapture\nLiveCapture('lo')"
    command = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, timeout=20, cwd=ROOT, check=False)
    assert "needs CAP_NET_RAW" in result.stderr


def loopback() -> None:
    """Loopback shows each packet on its way out and in; payloads beyond the snap length are counted, not copied."""
    watcher = Watcher(LiveCapture("lo"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for number in range(3000):
            sender.sendto(bytes(number % 900), ("127.0.0.1", 9000 + number % 7))
            if number % 500 == 0:
                watcher.read(0.02)
    watcher.read()
    packets, dropped = watcher.capture.statistics()
    watcher.capture.close()
    watcher.meter.close()
    records = [record for record in watcher.meter.drain() if record.ends.protocol == 17]
    assert (len(records), sum(record.source[0] for record in records)) == (7, 3000)
    assert sum(record.source[2] for record in records) == sum(number % 900 for number in range(3000))
    assert packets >= 3000  # with answers that nobody listens
    assert (dropped, watcher.capture.dropped) == (0, 0)


def two_interfaces_in_one_poll() -> None:
    wire("vc", "vd")
    watcher = Watcher(LiveCapture(("vb", "vd", "vb")))
    send("va", udp(1), udp(1))
    send("vc", udp(2))
    assert watcher.read() == 3
    assert watcher.capture.counters()["interfaces_up"] == 2
    assert watcher.ports() == {1: 2, 2: 1}


def one_goes_the_other_stays() -> None:
    wire("vc", "vd")
    watcher = Watcher(LiveCapture(["vb", "vd"]))
    ip("link", "del", "va")
    watcher.read(0.2)  # at once, not at the next second's look
    assert (watcher.capture.counters()["interfaces_up"], watcher.capture.counters()["interface_losses"]) == (1, 1)
    send("vc", udp(2))
    assert watcher.read() == 1
    wire()
    watcher.read(1.2)
    send("va", udp(1))
    assert watcher.read() == 1
    watcher.capture.statistics()
    counters = watcher.capture.counters()
    assert (counters["interfaces_up"], counters["kernel_packets"]) == (2, 2)


def what_is_excluded() -> None:
    exclude = ("host 10.0.0.2 and udp port 9092", "host 2001:db8::1 and port 9093")
    watcher = Watcher(LiveCapture("vb", CaptureSettings(exclude=exclude)))
    for port in (9092, 9093, 53):
        send("va", udp(port), udp(port, tag=5), udp6(port))
    watcher.read()
    assert watcher.ports() == {9092: 1, 9093: 2, 53: 3}


def tags_are_seen_as_in_a_file() -> None:
    """The kernel takes the outer tag out of the packet and tells it apart."""
    stacked = udp(3)[:12] + pack(">HHHH", 0x88A8, 5, 0x8100, 6) + udp(3)[12:]
    watcher = Watcher(LiveCapture("vb"))
    send("va", udp(1), udp(2, tag=0x6007), stacked)
    watcher.read()
    written = Meter(lambda *_: None)
    for frame in (udp(1), udp(2, tag=0x6007), stacked):
        written.use(bytearray(frame))
        written.packet(0, len(frame), len(frame), 1, 1)
    live, file = (vlans(meter) for meter in (watcher.meter, written))
    assert live == file == {1: (0, 28), 2: (7, 28), 3: (5, 28)}


def vlans(meter: Meter) -> dict[int, tuple[int, int]]:
    """Destination port → tag and bytes."""
    meter.close()
    return {record.ends.destination_port: (record.ends.vlan, record.source[1]) for record in meter.drain()}


def many_at_a_time() -> None:
    """Few packets gather for a while, many are read at once, and none waits longer than the caller says."""
    watcher = Watcher(LiveCapture("vb", CaptureSettings(ring_bytes=4 << 20)))
    send("va", udp(1))
    assert watcher.read(0.3) == 1
    send("va", udp(1))
    begin = time.monotonic()
    assert watcher.capture.read(watcher.meter, 1.0) == 1
    send("va", udp(1))
    assert watcher.capture.read(watcher.meter, 0.0) == 0
    assert watcher.capture.read(watcher.meter, 1.0) == 1
    assert time.monotonic() - begin > GATHER
    send("va", *[udp(1, bytes(200))] * 6000)
    begin = time.monotonic()
    assert watcher.capture.read(watcher.meter, 1.0) > 5000
    assert time.monotonic() - begin < GATHER


def a_longer_look_where_it_is_wanted() -> None:
    watcher = Watcher(LiveCapture("vb", CaptureSettings(long_ports=(67,))))
    send("va", udp(67, bytes(600)), udp(68, bytes(600)), udp(67, bytes(600), tag=9))
    watcher.read()
    assert watcher.payloads == [(67, 600), (68, 256 - 42), (67, 600)]


def all_interfaces() -> None:
    """Ethernet whole, loopback once, tunnels by their inner packets."""
    ip("tuntap", "add", "dev", "tun0", "mode", "tun")
    ip("addr", "add", "10.7.0.1/24", "dev", "tun0")
    ip("link", "set", "tun0", "up")
    with Path("/dev/net/tun").open("r+b", buffering=0) as tunnel:
        fcntl.ioctl(tunnel, 0x400454CA, pack("16sH22x", b"tun0", 0x1001))  # TUNSETIFF: IFF_TUN | IFF_NO_PI
        watcher = Watcher(LiveCapture("any"))
        send("va", udp(1))  # out of one end, into the other
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"", ("127.0.0.1", 2))
        tunnel.write(udp(3)[14:])
        watcher.read()
    assert watcher.ports() == {1: 2, 2: 1, 3: 1}


def nobody_reads_for_a_while() -> None:
    watcher = Watcher(LiveCapture("vb", CaptureSettings(ring_bytes=1 << 20)))
    send("va", *[udp(1, bytes(200))] * 8000)
    watcher.read()
    watcher.capture.statistics()
    counters = watcher.capture.counters()
    assert counters["kernel_packets"] == 8000
    assert 0 < counters["kernel_dropped_packets"] < 8000
    assert counters["ring_freezes"] > 0
    assert counters["ring_fill_percent"] == 100
    assert watcher.ports()[1] == 8000 - watcher.capture.dropped


@needs_namespaces
@pytest.mark.parametrize(
    "scenario",
    [
        loopback,
        two_interfaces_in_one_poll,
        one_goes_the_other_stays,
        what_is_excluded,
        tags_are_seen_as_in_a_file,
        many_at_a_time,
        a_longer_look_where_it_is_wanted,
        nobody_reads_for_a_while,
        pytest.param(
            all_interfaces, marks=pytest.mark.skipif(not Path("/dev/net/tun").exists(), reason="needs /dev/net/tun")
        ),
    ],
)
def test_on_a_wire_of_its_own(scenario: Callable[[], None]) -> None:
    isolated(scenario)
