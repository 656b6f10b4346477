"""The one way out of the agent: raw records in, events without patient data or addresses out.

Only this module makes events, and it makes them from the dataset's structure: a text field leaves as its type there says
(token, word, domain) or as the site's policy has it, and a field that no type classifies cannot be filled. Tokens are
HMAC-SHA-256 under the site's key, cut to 64 bits: one site's events join, and nobody without the key reverses them (an
unkeyed hash of an IPv4 address is searched through in seconds).
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from math import isqrt
from typing import Any

from agent.flow import Ends, FlowRecord
from agent.policy import Policy
from agent.protocol import Fact
from nigrani.stream.event import Event
from nigrani.stream.events import DATASETS, AgentStatus, NetworkFlow

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_CACHE = 16_384
"""Tokens remembered; beyond it the memory starts afresh."""
MAX_TEXTS = 4096
"""Texts of each class remembered with what may leave of them."""
MAX_WORD = 128
MAX_NAME = 64
MAX_LIST = 16
DROP = "drop"
MAX_NUMBER = (1 << 53) - 1
"""The largest whole number that every JSON reader keeps."""

TRANSPORTS = {1: "icmp", 2: "igmp", 6: "tcp", 17: "udp", 50: "esp", 51: "ah", 58: "ipv6-icmp", 89: "ospf", 132: "sctp"}
KINDS = {1: "arp", 4: "ipv4", 6: "ipv6"}
FLAGS = "FSRPAUEC"

INTERNAL = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "fc00::/7", "fe80::/10")
"""Private address space (RFC 1918, 3927, 4193, 4291, 6598): zone `internal` where the site's configuration says no more."""
SPECIAL = {
    "127.0.0.0/8": "loopback",
    "::1/128": "loopback",
    "224.0.0.0/4": "multicast",
    "ff00::/8": "multicast",
    "255.255.255.255/32": "broadcast",
    "0.0.0.0/32": "unspecified",
    "::/128": "unspecified",
}
LOCAL = frozenset(("local", "localdomain", "localhost", "lan", "home", "internal", "intranet", "corp", "private", "test"))
"""Last labels that nobody registers (RFC 6761, 6762, and use): what stands right before them may be a machine's name."""

_NUMBERS = re.compile(r"(?<!\d)\d{1,3}(?:[._-]\d{1,3}){3}(?!\d)", re.ASCII)
"""Four numbers that may be an address, written as machines' names have it too: `ct-10-20-1-7`, `7.1.20.10.in-addr.arpa`."""

Tell = Callable[[str, bytes, bytes], None]
"""Takes a kind, a token's eight bytes and what they stand for."""


class Zones:
    """Which part of the site an address is in; the longest matching network wins."""

    def __init__(self, zones: Mapping[str, Sequence[str]]) -> None:
        """zones: name → networks in CIDR notation. Raises ValueError for what is no network."""
        named = {network: name for name, networks in zones.items() for network in networks}
        table = [*dict.fromkeys(INTERNAL, "internal").items(), *SPECIAL.items(), *named.items()]
        known = {ipaddress.ip_network(network): name for network, name in table}  # however a network is written
        longest_first = sorted(known.items(), key=lambda item: -item[0].prefixlen)
        self._networks = [  # as numbers: `address in network` costs ten times as much, and a flood asks for each address
            (network.version, int(network.netmask), int(network.network_address), name) for network, name in longest_first
        ]

    def of(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
        """The zone's name; `internet` where no network holds the address."""
        number = int(address)
        for version, mask, network, name in self._networks:
            if version == address.version and number & mask == network:
                return name
        return "internet"


class Tokens:
    """Keyed, stable stand-ins for what must not leave."""

    def __init__(self, key: bytes, tell: Tell | None = None) -> None:
        """tell: called with each token that is made, again after `forget`."""
        if len(key) < 32:
            raise ValueError(f"the site key has {len(key)} bytes and must have at least 32")
        self._key = key
        self._tell = tell
        self._known: dict[tuple[str, bytes], str] = {}

    def of(self, kind: str, value: bytes) -> str:
        """`kind:` and 16 hexadecimal digits; the same value has the same token wherever the key is the same."""
        token = self._known.get((kind, value))
        if token is None:
            digest = hmac.digest(self._key, kind.encode() + b"\0" + value, hashlib.sha256)
            token = f"{kind}:{digest[:8].hex()}"
            if len(self._known) >= MAX_CACHE:
                self._known.clear()
            self._known[kind, value] = token
            if self._tell is not None:
                self._tell(kind, digest[:8], value)
        return token

    def forget(self) -> None:
        """Make each token anew when it is next asked for."""
        self._known.clear()


class Privacy:
    """Raw records to events."""

    def __init__(
        self,
        key: bytes,
        *,
        agent: str,
        boot: str,
        zones: Zones | None = None,
        policy: Policy | None = None,
        host: str = "",
        tell: Tell | None = None,
    ) -> None:
        """agent: the agent's name. boot: differs at each start. tell: see `Tokens`.

        host: the address of the agent's own host, whose story every event then tells; empty on a mirror port, where the
        originator's is told.
        """
        policy = policy or Policy()
        self._tokens = Tokens(key, tell)
        self._zones = zones or Zones({})
        self._addresses: dict[tuple[int, int, int], tuple[str, str]] = {}
        self._places: dict[str, tuple[str, str]] = {}
        self._ae_titles = frozenset(policy.ae_titles)
        self._agent = agent
        self._prefix = hashlib.blake2b(f"{agent}\0{boot}".encode(), digest_size=8).hexdigest()
        self._host = self.address(host)[0] if host else ""
        self._self = self._host or self._tokens.of("host", agent.encode())
        """The agent's own host, for what is of nobody else."""
        self.sequence = 0
        self._seconds: dict[int, datetime] = {}
        self._plans = {dataset: (kind, policy.plan(kind)) for dataset, kind in DATASETS.items()}
        self._wire = policy.plan(NetworkFlow)
        self._ways: dict[str, Callable[[str], str]] = {
            "address": lambda value: self.address(value)[0],
            "zone": lambda value: _label(self.address(value)[1]),
            "mac": self._mac,
            "ae": self._ae_title,
            "user": lambda value: self._named("user", value),
            "study": lambda value: self._named("study", value),
            "name": lambda value: self._named("name", value),
            "keep": self._kept,
            "domain-token": lambda value: self._domain(value, 0),
            "domain-suffix": lambda value: self._domain(value, 2),
            "domain-full": lambda value: self._domain(value, MAX_WORD),
            "word": word,
            DROP: lambda _value: "",
        }
        self._texts: dict[str, dict[str, str]] = {way: {} for way in ("", *self._ways)}

    def forget(self) -> None:
        """Make every token anew, so that whoever is told of them is told again; they stay the same."""
        self._tokens.forget()
        self._addresses.clear()
        self._places.clear()
        for known in self._texts.values():
            known.clear()

    def address(self, text: str) -> tuple[str, str]:
        """Token and zone of an address in text; what is no address has a token too, and the zone `unknown`."""
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return self._tokens.of("ip", text.encode("utf-8", "replace")[:256]), "unknown"
        return self._address(address)

    def _address(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> tuple[str, str]:
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return self._tokens.of("ip", address.packed), self._zones.of(address)

    def flow(self, record: FlowRecord) -> NetworkFlow:
        """The event of a flow record."""
        ends = record.ends
        host, source, source_zone, destination, destination_zone, card, other_card, flow, transport = self._ends(ends)
        ours = record.source
        theirs = record.destination
        return NetworkFlow(
            timestamp=self._time(record.last),
            id=self._id(),
            sequence=self.sequence - 1,
            agent=self._agent,
            host=self._host or host,
            source=source,
            source_port=ends.source_port,
            source_zone=source_zone,
            destination=destination,
            destination_port=ends.destination_port,
            destination_zone=destination_zone,
            transport=transport,
            flow=flow,
            kind=KINDS[ends.kind],
            protocol=record.protocol,
            vlan=ends.vlan,
            source_mac=card,
            destination_mac=other_card,
            part=record.part,
            reason=record.reason,
            state=record.state,
            duration=max(record.last - record.start, 0) * 1000,
            first_payload=record.first - record.begin if record.first >= record.begin and record.first else None,
            source_packets=ours[0],
            source_bytes=ours[1],
            source_payload=ours[2],
            source_flags=_FLAG_NAMES[ours[3] & 0xFF],
            source_retransmissions=ours[4],
            source_size=_sizes(ours),
            source_gap=_gaps(ours),
            destination_packets=theirs[0],
            destination_bytes=theirs[1],
            destination_payload=theirs[2],
            destination_flags=_FLAG_NAMES[theirs[3] & 0xFF],
            destination_retransmissions=theirs[4],
            destination_size=_sizes(theirs) if theirs[0] else [],
            destination_gap=_gaps(theirs),
            requests=record.requests,
            replies=record.replies,
            gratuitous=record.gratuitous,
        )

    def fact(self, ends: Ends | None, fact: Fact) -> Event:
        """The event of one fact; `ends` where it was seen on the wire, None where it stood in a log.

        Raises KeyError for a field that the dataset does not have: the parser's fault, never the input's.
        """
        kind, ways = self._plans[fact.dataset]
        fields: dict[str, object] = {}
        for name, value in fact.fields.items():
            way = ways[name]
            clean = self._texts[way].get(value) if type(value) is str else None
            fields[name] = self._value(way, value) if clean is None else clean
        if ends is not None:
            host, source, source_zone, destination, destination_zone, _, _, flow, transport = self._ends(ends)
            fields["source"] = source
            fields["source_port"] = ends.source_port
            fields["source_zone"] = source_zone
            fields["destination"] = destination
            fields["destination_port"] = ends.destination_port
            fields["destination_zone"] = destination_zone
            fields["transport"] = transport
            fields["flow"] = flow
        else:
            host, fields["source_zone"] = self._place(fact.fields.get("source"))
        if fact.sums:
            for name, amount in fact.sums.items():
                fields[name] = min(max(amount, 0), MAX_NUMBER)
        return kind(
            timestamp=self._time(fact.when),
            id=self._id(),
            sequence=self.sequence - 1,
            agent=self._agent,
            host=self._host or host,
            count=fact.count,
            **fields,
        )

    def status(
        self,
        when: int,
        version: str,
        packets: int,
        events: int,
        skipped: dict[str, int],
        configuration: str = "",
        numbers: Mapping[str, Any] | None = None,
    ) -> Event:
        """The agent's own heartbeat.

        configuration: a fingerprint of it. numbers: more fields of `AgentStatus`, whole numbers all of them.
        """
        return AgentStatus(
            timestamp=self._time(when),
            id=self._id(),
            sequence=self.sequence - 1,
            agent=self._agent,
            host=self._self,
            version=version,
            packets=packets,
            events=events,
            skipped=skipped,
            configuration=configuration,
            **(numbers or {}),
        )

    def _id(self) -> str:
        number = self.sequence
        self.sequence = number + 1
        return f"{self._prefix}{number:010x}"

    def _time(self, when: int) -> datetime:
        second, micro = divmod(when, 1_000_000)
        base = self._seconds.get(second)
        if base is None:
            if len(self._seconds) >= 256:
                self._seconds.clear()
            base = self._seconds[second] = EPOCH + timedelta(seconds=second)
        return base + timedelta(0, 0, micro)

    def _ends(self, ends: Ends) -> tuple[str, ...]:
        if ends.private is None:
            wire = self._wire
            source, source_zone = self._packed(ends.kind, ends.source_hi, ends.source_lo)
            destination, destination_zone = self._packed(ends.kind, ends.destination_hi, ends.destination_lo)
            ends.private = (
                source,
                source if wire["source"] == "address" else _label(source_zone),
                source_zone,
                destination if wire["destination"] == "address" else _label(destination_zone),
                destination_zone,
                self._card(ends.source_mac) if wire["source_mac"] == "mac" else "",
                self._card(ends.destination_mac) if wire["destination_mac"] == "mac" else "",
                f"{self._prefix}-{ends.number:x}",
                "arp" if ends.kind == 1 else TRANSPORTS.get(ends.protocol) or str(ends.protocol),
            )
        return ends.private

    def _card(self, mac: int) -> str:
        return self._tokens.of("mac", mac.to_bytes(6, "big")) if mac else ""

    def _place(self, source: object) -> tuple[str, str]:
        """Whose story a log's line tells, and in which zone: who is named as its source, else the agent's own host."""
        if not source or type(source) is not str:
            return self._self, ""
        known = self._places.get(source)
        if known is None:
            if len(self._places) >= MAX_TEXTS:
                self._places.clear()
            known = self._places[source] = self.address(source)
        return known

    def _packed(self, kind: int, high: int, low: int) -> tuple[str, str]:
        known = self._addresses.get((kind, high, low))
        if known is None:
            address: ipaddress.IPv4Address | ipaddress.IPv6Address
            address = ipaddress.IPv6Address((high << 64) | low) if kind == 6 else ipaddress.IPv4Address(low)
            if len(self._addresses) >= MAX_CACHE:
                self._addresses.clear()
            known = self._addresses[kind, high, low] = self._address(address)
        return known

    def _value(self, way: str, value: object) -> object:
        if isinstance(value, str):
            return self._text(way, value)
        if isinstance(value, tuple):
            return [] if way == DROP else [self._ways[way](item) for item in value[:MAX_LIST] if isinstance(item, str)]
        if way and value is not None:
            raise TypeError(f"a value of class {way} is text, not {type(value).__name__}")
        if isinstance(value, int):
            return min(max(value, 0), MAX_NUMBER)
        if value is None or isinstance(value, float):
            return value
        raise TypeError(f"no field takes {type(value).__name__}")

    def _text(self, way: str, value: str) -> str:
        """What may leave of a text; those told most are told again and again."""
        clean = self._ways[way](value) if value else ""
        known = self._texts[way]
        if len(known) >= MAX_TEXTS:
            known.clear()
        known[value] = clean
        return clean

    def _named(self, kind: str, value: str) -> str:
        return self._tokens.of(kind, value.encode("utf-8", "replace"))

    def _mac(self, value: str) -> str:
        """Of six bytes where they are six: as flow records have it."""
        try:
            mac = bytes.fromhex(value.replace(":", "").replace("-", ""))
        except ValueError:
            mac = b""
        return self._tokens.of("mac", mac) if len(mac) == 6 else self._named("mac", value.lower())

    def _ae_title(self, value: str) -> str:
        return value if value in self._ae_titles else self._named("ae", value)

    def _kept(self, value: str) -> str:
        """A name as it is, but for one that is, or holds, an address."""
        token = self._if_address(value)
        if token:
            return token
        return self._named("name", value) if _holds_address(value) else word(value)[:MAX_NAME]

    def _if_address(self, text: str) -> str:
        """The token of an address; empty for what is none."""
        try:
            return self._address(ipaddress.ip_address(text))[0]
        except ValueError:
            return ""

    def _domain(self, value: str, most: int) -> str:
        """At most so many labels of a DNS name; a token of it where they may be a machine's name or an address."""
        name = value.rstrip(".").lower()
        if name[-1:].isdigit() or ":" in name:  # no name ends in a digit but an address
            token = self._if_address(name)
            if token:
                return token
        labels = name.split(".")
        if most > 2 and (labels[-1] == "arpa" or _holds_address(name)):
            most = 2
        left = ".".join(labels[-most:]) if most else ""
        machine = len(labels) == 1 or (len(labels) == most == 2 and labels[-1] in LOCAL)
        if not name or (left and not machine and not _holds_address(left)):
            return word(left)
        return self._named("name", name)


def _holds_address(text: str) -> bool:
    if text.count(".") + text.count("-") + text.count("_") < 3:  # what nearly every name ends with
        return False
    return _NUMBERS.search(text) is not None


def _label(zone: str) -> str:
    """A zone in the place of an address."""
    return f"zone:{zone}"[:MAX_NAME]


def word(value: str) -> str:
    """The text, printable and at most 128 characters: a log or a terminal shows it without harm."""
    if len(value) <= MAX_WORD and value.isascii() and value.isprintable():
        return value
    return "".join(letter if letter.isprintable() else "�" for letter in value[:MAX_WORD])


def _flag_names(bits: int) -> str:
    return "".join(letter for position, letter in enumerate(FLAGS) if bits >> position & 1)


_FLAG_NAMES = tuple(_flag_names(bits) for bits in range(256))


def _sizes(side: tuple[int, ...]) -> list[int]:
    """Min, mean, max, standard deviation of the packet sizes, whole bytes rounded down."""
    packets, total, smallest, largest, squares = side[0], side[1], side[5], side[6], side[7]
    if packets == 0:
        return []
    return [smallest, total // packets, largest, isqrt(max(squares * packets - total * total, 0)) // packets]


def _gaps(side: tuple[int, ...]) -> list[int]:
    """Min, mean, max, standard deviation of the inter-arrival times, whole microseconds rounded down."""
    count, shortest, longest, total, squares = side[0] - 1, side[8], side[9], side[10], side[11]
    if count < 1:
        return []
    return [shortest, total // count, longest, isqrt(max(squares * count - total * total, 0)) // count]
