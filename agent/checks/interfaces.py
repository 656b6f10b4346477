"""Network interfaces: there, up, connected, and such that packets come in as they were on the wire."""

from __future__ import annotations

import fcntl
import socket
import struct
from collections.abc import Iterator
from functools import partial

from agent.captures.interfaces import EVERY, SIOCGIFFLAGS, look_up
from agent.check import Finding, Subject, Task

SIOCGIFADDR, SIOCGIFMTU, SIOCETHTOOL = 0x8915, 0x8921, 0x8946
ETHTOOL_GFLAGS, ETHTOOL_GGRO = 0x25, 0x2B
ETH_FLAG_LRO = 1 << 15
IFF_UP, IFF_LOOPBACK, IFF_RUNNING, IFF_PROMISC = 0x1, 0x8, 0x40, 0x100
"""linux/if.h and linux/ethtool.h."""


def tasks(subject: Subject) -> Iterator[Task]:
    """One for each interface, and one for the host's address."""
    for name in dict.fromkeys(subject.config.interfaces):
        yield Task(f"interface {name}", partial(interface, name, subject))
    if subject.config.host:
        yield Task("host", partial(host, subject))


def interface(name: str, subject: Subject) -> Iterator[Finding]:
    """What the kernel says of it."""
    about, place = f"interface {name}", subject.place("interfaces")
    if name == EVERY:
        yield Finding("ok", about, "all that are there, and those that come")
        return
    if look_up(name) is None:
        there = ", ".join(sorted(name for _, name in socket.if_nameindex()))
        yield Finding("fail", about, "there is none of that name", f"there are: {there}", place)
        return
    flags = _ask(name, SIOCGIFFLAGS, "H") or 0
    if not flags & IFF_UP:
        yield Finding("warn", about, "is down; nothing is seen until it is up", f"ip link set {name} up", place)
    elif not flags & IFF_RUNNING:
        yield Finding("warn", about, "is up and has no carrier", "see the cable, and the other end", place)
    else:
        yield Finding("ok", about, f"up, MTU {_ask(name, SIOCGIFMTU, 'i')}{_merging(name)}")
    yield from _remarks(name, flags, subject)


def _remarks(name: str, flags: int, subject: Subject) -> Iterator[Finding]:
    about, capture = f"interface {name}", subject.config.capture
    if (_ethtool(name, ETHTOOL_GFLAGS) or 0) & ETH_FLAG_LRO:
        message = "large receive offload merges packets before they are seen: counts and sizes are not the wire's"
        yield Finding("warn", about, message, f"ethtool -K {name} lro off")
    alone = subject.config.host or capture.promiscuous or flags & (IFF_PROMISC | IFF_LOOPBACK)
    if not alone and _ask(name, SIOCGIFADDR, "H") is None:
        message = "has no address, as on a mirror port: its card may drop what is addressed to others"
        yield Finding("warn", about, message, "set capture.promiscuous: true", subject.place("capture"))


def host(subject: Subject) -> Iterator[Finding]:
    """Whether the address is one of this host's."""
    address = subject.config.host
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as trying:
        try:
            trying.bind((address, 0))
        except OSError as error:
            message = f"{address} is not this host's address ({error.strerror})"
            remedy = "give the address of this host, or none on a mirror port"
            yield Finding("warn", "host", message, remedy, subject.place("host"))
        else:
            yield Finding("ok", "host", f"{address} is this host's")


def _merging(name: str) -> str:
    """What is normal, and still to be known."""
    return ", GRO: TCP segments of one flow may come in merged" if _ethtool(name, ETHTOOL_GGRO) else ""


def _ask(name: str, request: int, form: str) -> int | None:
    """What netdevice(7) answers; None where it does not."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as asking:
        try:
            answer = fcntl.ioctl(asking, request, struct.pack("16s24x", name.encode()[:15]))
        except OSError:
            return None
    return int(struct.unpack_from(form, answer, 16)[0])


def _ethtool(name: str, command: int) -> int | None:
    """The value of a struct ethtool_value; None where the interface has no such thing."""
    import ctypes  # noqa: PLC0415 - for this alone

    value = ctypes.create_string_buffer(struct.pack("II", command, 0), 8)
    request = struct.pack("16sP16x", name.encode()[:15], ctypes.addressof(value))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as asking:
        try:
            fcntl.ioctl(asking, SIOCETHTOOL, request)
        except OSError:
            return None
    return int(struct.unpack("II", value.raw)[1])
