"""The event: what an agent tells the detector, one JSON object each, and the registry of datasets.

Keys are flat dotted names, Elastic Common Schema first: `jq`, a SIEM and a Sigma rule name a field alike. Each dataset is
a typed structure under `events/`; decoding checks every type and length, so nothing behind the decoder meets a value of
another shape. Each text field says by its type what privacy does to it before it leaves the host.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct, field

SCHEMA_VERSION = 1

Address = Annotated[str, Meta(max_length=64, extra={"privacy": "address"})]
"""An IP address; leaves the host as a keyed token `ip:…`."""
Mac = Annotated[str, Meta(max_length=64, extra={"privacy": "mac"})]
"""A hardware address; leaves as a keyed token `mac:…`."""
AeTitle = Annotated[str, Meta(max_length=64, extra={"privacy": "ae"})]
"""A DICOM application entity title (PS3.8 §9.3.2); a keyed token `ae:…` unless allow-listed."""
User = Annotated[str, Meta(max_length=64, extra={"privacy": "user"})]
"""A person, an API key or a certificate subject; a keyed token `user:…`."""
Study = Annotated[str, Meta(max_length=64, extra={"privacy": "study"})]
"""A study, patient or accession identifier; a keyed token `study:…`."""
Name = Annotated[str, Meta(max_length=64, extra={"privacy": "name"})]
"""A name that a site chose (application, share, server, topic); a keyed token `name:…`."""
Domain = Annotated[str, Meta(max_length=128, extra={"privacy": "domain"})]
"""A DNS name; the site's policy says how much of it leaves."""
Word = Annotated[str, Meta(max_length=128, extra={"privacy": "word"})]
"""A value of a standard's vocabulary or of ours; leaves as it is, capped, control characters replaced."""

Count = Annotated[int, Meta(ge=0, le=(1 << 53) - 1)]
"""A whole number that every JSON reader keeps, and every sum of a few million of them fits a float."""
Port = Annotated[int, Meta(ge=0, le=65535)]


class Event(Struct, kw_only=True, omit_defaults=True, gc=False, tag_field="event.dataset", forbid_unknown_fields=False):
    """The envelope every event has."""

    timestamp: Annotated[datetime, Meta(tz=True)] = field(name="@timestamp")
    """The last moment the event tells of, UTC."""
    id: Annotated[str, Meta(max_length=64)] = field(name="event.id")
    """A function of (agent, boot, sequence): the same event sent twice has the same id."""
    sequence: Count = field(name="event.sequence")
    """Position in the agent's own order, from 0 at each boot."""
    agent: Annotated[str, Meta(max_length=64)] = field(name="agent.id")
    host: Address = field(name="host.id")
    """The device whose story the event tells; the key of its partition."""
    count: Count = field(name="nigrani.count", default=1)
    """How many like transactions the event stands for: the first is told at once, repeats as a sum each minute."""


class Conversation(Event, kw_only=True):
    """An event of one conversation between two addresses."""

    source: Address = field(name="source.address")
    """The originator: who opened the conversation."""
    source_port: Port = field(name="source.port", default=0)
    source_zone: Word = field(name="nigrani.source.zone", default="")
    destination: Address = field(name="destination.address")
    destination_port: Port = field(name="destination.port", default=0)
    destination_zone: Word = field(name="nigrani.destination.zone", default="")
    transport: Word = field(name="network.transport", default="")
    """tcp, udp, icmp, ipv6-icmp, arp, or the protocol's number."""
    flow: Annotated[str, Meta(max_length=64)] = field(name="nigrani.flow.id", default="")
    """Joins what one conversation told: its flow records and its protocol events."""
