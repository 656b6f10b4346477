"""What capture leaves out, in the words of pcap-filter(7): `host 10.0.0.5 and tcp port 9092`, `net 10.9.0.0/16`, `arp`.

An entry is one or more terms joined by `and`. What it cannot say (`or`, `not`, names to look up) is refused, never guessed.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import NamedTuple

FAMILIES = {"ip": 1, "arp": 2, "ip6": 4}
"""As bits, so that one test may ask for several."""
PROTOCOLS = {"icmp": (1, 1), "tcp": (6, 5), "udp": (17, 5), "icmp6": (58, 4), "sctp": (132, 5)}
"""Protocol number, and the families it counts in."""
PORTED = ("tcp", "udp", "sctp")
SIDES = {"src": (True, False), "dst": (False, True), "": (True, True)}


class Is(NamedTuple):
    """The packet's family is one of these, and its protocol this, unless 0."""

    families: int
    protocol: int


class Port(NamedTuple):
    """The source's port, the destination's, or either of them is this."""

    number: int
    source: bool
    target: bool


class Net(NamedTuple):
    """The source's address, the destination's, or either of them is of this network."""

    network: IPv4Network | IPv6Network
    source: bool
    target: bool


Term = Is | Port | Net
Exclusion = tuple[Term, ...]
"""All of the terms must be true."""


def parse(text: str) -> Exclusion:
    """Read one entry. Raises ValueError, which quotes it."""
    terms: list[Term] = []
    words: list[str] = []
    try:
        for word in [*text.split(), "and"]:
            if word == "and":
                terms += _terms(words)
                words = []
            else:
                words.append(word)
    except ValueError as error:
        raise ValueError(f'exclude "{text}": {error}') from None
    return tuple(terms)


def _terms(words: list[str]) -> list[Term]:
    """Terms of the words between two `and`; a protocol may stand before a port."""
    if not words:
        raise ValueError("a term is missing")
    first = words[0]
    if first in FAMILIES and len(words) == 1:
        return [Is(FAMILIES[first], 0)]
    if first in PROTOCOLS and len(words) == 1:
        return [Is(PROTOCOLS[first][1], PROTOCOLS[first][0])]
    if first in PORTED and "port" in words:
        return [Is(PROTOCOLS[first][1], PROTOCOLS[first][0]), *_terms(words[1:])]
    side = first if first in {"src", "dst"} else ""
    rest = words[1:] if side else words
    if len(rest) != 2 or rest[0] not in {"host", "net", "port"}:
        raise ValueError(_remedy(words))
    kind, value = rest
    if kind == "port":
        return [Port(_port(value), *SIDES[side])]
    return [Net(_network(kind, value), *SIDES[side])]


def _remedy(words: list[str]) -> str:
    if "or" in words:
        return "an `or` is written as two entries"
    kinds = ", ".join((*FAMILIES, *PROTOCOLS))
    return f"`{' '.join(words)}` is none of [src|dst] host A, [src|dst] net A/N, [tcp|udp|sctp] [src|dst] port N, {kinds}"


def _port(value: str) -> int:
    if not (value.isascii() and value.isdecimal() and 0 < int(value) < 65_536):
        raise ValueError(f"{value} is no port: 1 to 65535")
    return int(value)


def _network(kind: str, value: str) -> IPv4Network | IPv6Network:
    if kind == "net":
        return ip_network(value)  # its own message names the fault
    try:
        return ip_network(ip_address(value))
    except ValueError:
        raise ValueError(f"{value} is no address, and names are not looked up") from None
