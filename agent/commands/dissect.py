"""Look into the packets of a capture: scapy's dissection, beside the flow and the facts that the meter makes of them.

For a responder on this host. IT SHOWS RAW CONTENT, PATIENT DATA INCLUDED: on the terminal, and nowhere else; nothing is
sent, kept, or made an event. Without --packet one line each; with it, all layers and bytes of one packet. Needs scapy:
pip install 'nigrani[dissect]'.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from agent.capture import Capture, open_capture
from nigrani.service.errors import Problem

if TYPE_CHECKING:
    from agent.sample import Flow, Packet

SECONDS = 2.0
"""That scapy may take for one packet."""
LAYERS = ("inet", "inet6", "dns", "dhcp", "http", "ntp", "smb2", "kerberos", "ldap", "rtp", "snmp")
CONTRIB = ("dicom", "mqtt", "lldp", "stun")
"""Modules of scapy that are loaded where they are there."""
MAX_BYTES = 4096
WIDTH = 16
"""Bytes in a line."""
WIDEST = 200
"""Columns of a line of what a packet says."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("file", metavar="FILE", type=Path, help="a capture: pcap or pcapng")
    parser.add_argument("--count", metavar="N", type=_positive, default=20, help="packets to list (default: 20)")
    parser.add_argument("--skip", metavar="N", type=int, default=0, help="packets to pass over first")
    parser.add_argument("--flow", metavar="N", type=_positive, help="packets of this flow alone, by the number in the list")
    parser.add_argument("--packet", metavar="N", type=_positive, help="all of this packet, by the number in the list")
    parser.add_argument("--bytes", metavar="N", type=_positive, default=512, help="of its payload (default: 512)")


def run(options: argparse.Namespace) -> int:
    """Read, choose, show; 1 where there is no such packet."""
    from agent.sample import Sample  # noqa: PLC0415 - only once the options stand

    sample = Sample(_open(options.file))
    chosen = list(_choose(sample.packets(), options))
    if not chosen:
        raise Problem(f"{options.file}: no such packet")
    scapy = Scapy()
    flows = sample.flows(_open(options.file), {packet.flow for packet in chosen} - {0})
    if options.packet:
        _tell(_whole(chosen[0], scapy, min(options.bytes, MAX_BYTES)))
    else:
        _tell(_line(packet, scapy) for packet in chosen)
    _tell(line for number, flow in sorted(flows.items()) for line in _flow(number, flow))
    if scapy.faults:
        sys.stderr.write(f"nigrani: scapy failed at {scapy.faults} packets\n")
    return 0


class Scapy:
    """Scapy, kept from what a hostile packet makes it do."""

    def __init__(self) -> None:
        """Raises Problem where it is not installed."""
        logging.getLogger("scapy").setLevel(logging.CRITICAL)
        try:
            import scapy.layers.l2 as link  # noqa: PLC0415 - two seconds, and an extra
            from scapy.layers.inet import IP  # noqa: PLC0415 - as above
            from scapy.layers.inet6 import IPv6  # noqa: PLC0415 - as above
        except ImportError:
            raise Problem("dissect needs scapy: pip install 'nigrani[dissect]'") from None
        self._more()
        self._first: dict[int, Callable[[bytes], Any]] = {
            1: link.Ether,
            2: lambda data: (IPv6 if data[:1] and data[0] >> 4 == 6 else IP)(data),
            3: link.CookedLinux,
            4: link.Loopback,
            5: link.CookedLinuxV2,
        }
        self.faults = 0

    def summary(self, packet: Packet) -> str:
        """In one line."""
        return str(self._guarded(lambda: self._first[packet.link](packet.data).summary()))

    def layers(self, packet: Packet) -> str:
        """In full."""
        return str(self._guarded(lambda: self._first[packet.link](packet.data).show(dump=True)))

    def payload(self, packet: Packet) -> bytes:
        """What the transport carries; all of the packet where scapy finds none."""
        found = self._guarded(lambda: _innermost(self._first[packet.link](packet.data)))
        return found if isinstance(found, bytes) and found else packet.data

    @staticmethod
    def _more() -> None:
        import importlib  # noqa: PLC0415 - for this alone

        for name in LAYERS:
            try:
                importlib.import_module(f"scapy.layers.{name}")
            except ImportError:
                continue
        for name in CONTRIB:
            try:
                importlib.import_module(f"scapy.contrib.{name}")
            except ImportError:
                continue

    def _guarded(self, work: Callable[[], object]) -> object:
        try:
            with _alarm(SECONDS):
                return work()
        except Exception as error:  # noqa: BLE001 - a library that was not made for hostile bytes, and its faults are counted
            self.faults += 1
            return f"scapy failed: {type(error).__name__}"


def _innermost(packet: Any) -> bytes:
    for name in ("TCP", "UDP", "SCTP", "ICMP"):
        if packet.haslayer(name):
            return bytes(packet[name].payload)
    return b""


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Raises TimeoutError in the midst of what takes longer."""

    def late(_signal: int, _frame: FrameType | None) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _open(path: Path) -> Capture:
    try:
        capture = open_capture(path)
    except (OSError, ValueError) as error:
        raise Problem(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    if capture is None:
        raise Problem(f"{path}: no capture, pcap or pcapng")
    return capture


def _choose(packets: Iterator[Packet], options: argparse.Namespace) -> Iterator[Packet]:
    count = 0
    for packet in packets:
        if options.packet:
            if packet.number == options.packet:
                yield packet
                return
        elif packet.number > options.skip and options.flow in {None, packet.flow}:
            yield packet
            count += 1
            if count == options.count:
                return


def _line(packet: Packet, scapy: Scapy) -> str:
    flow = f"flow {packet.flow}" if packet.flow else "no flow"
    return f"{packet.number:>6} {_time(packet.when)} {flow:>8} {packet.length:>6} B  {scapy.summary(packet)}"


def _whole(packet: Packet, scapy: Scapy, most: int) -> Iterator[str]:
    held = f"{len(packet.data)} of {packet.length} bytes"
    yield f"packet {packet.number}, {_time(packet.when)}, {held}, {packet.ends or 'no flow'}"
    yield from scapy.layers(packet).splitlines()
    payload = scapy.payload(packet)
    yield f"payload, {min(most, len(payload))} of {len(payload)} bytes:"
    for at in range(0, min(most, len(payload)), WIDTH):
        part = payload[at : min(at + WIDTH, most)]
        letters = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        yield f"  {at:04x}  {part.hex(' '):{3 * WIDTH}} {letters}"


def _flow(number: int, flow: Flow) -> Iterator[str]:
    parts = [flow.ends, flow.protocol or "no protocol recognised", f"{flow.packets} packets", f"{flow.bytes:,} bytes"]
    yield f"flow {number}: {', '.join([*parts, flow.state] if flow.state else parts)}"
    for fact in flow.facts:
        fields = ", ".join(f"{name}={value}" for name, value in fact.fields.items() if value not in {None, "", ()})
        yield f"    {_time(fact.when)} {fact.dataset}{f' ×{fact.count}' if fact.count > 1 else ''}: {fields}"
    if flow.more:
        yield f"    and {flow.more} facts more"


def _time(when: int) -> str:
    second, micro = divmod(when, 1_000_000)
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%d %H:%M:%S}.{micro:06}"


def _tell(lines: Iterator[str]) -> None:
    """To the terminal, and nothing in them is a command to it."""
    for line in lines:
        shown = "".join(letter if letter.isprintable() else "�" for letter in line[:WIDEST])
        sys.stdout.write(shown + ("…" if len(line) > WIDEST else "") + "\n")


def _positive(text: str) -> int:
    number = int(text)
    if not 0 < number <= 1_000_000_000:
        raise argparse.ArgumentTypeError("from 1 on")
    return number
