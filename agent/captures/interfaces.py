"""What the kernel says of a network interface (netdevice(7)); not from /sys, which shows the namespace that mounted it."""

from __future__ import annotations

import fcntl
import socket
import struct
from typing import NamedTuple

SIOCGIFFLAGS, SIOCGIFHWADDR = 0x8913, 0x8927
IFF_UP = 0x1
EVERY = "any"
"""The name that stands for all interfaces."""


class Interface(NamedTuple):
    """One interface as it is now."""

    name: str
    number: int
    """A new one each time an interface is made; 0 for all of them."""
    hardware: int
    """ARPHRD code of linux/if_arp.h."""
    is_up: bool


def look_up(name: str) -> Interface | None:
    """The interface of this name, or None where there is none."""
    if name == EVERY:
        return Interface(name, 0, 0, is_up=True)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as asking:
        request = struct.pack("16s24x", name.encode()[:15])
        try:
            number = socket.if_nametoindex(name)
            flags = struct.unpack_from("H", fcntl.ioctl(asking, SIOCGIFFLAGS, request), 16)[0]
            hardware = struct.unpack_from("H", fcntl.ioctl(asking, SIOCGIFHWADDR, request), 16)[0]
        except (OSError, ValueError):
            return None
    return Interface(name, number, hardware, bool(flags & IFF_UP))
