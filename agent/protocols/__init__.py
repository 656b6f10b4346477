"""The protocols the agent knows, one module each, in the order in which they are asked whether bytes are theirs."""

from __future__ import annotations

from agent.protocol import Parser
from agent.protocols.dhcp import Dhcp
from agent.protocols.dicom import Dicom
from agent.protocols.dns import Dns
from agent.protocols.hl7 import Hl7
from agent.protocols.http import Http
from agent.protocols.kerberos import Kerberos
from agent.protocols.mqtt import Mqtt
from agent.protocols.rdp import Rdp
from agent.protocols.sip import Sip
from agent.protocols.smb2 import Smb2
from agent.protocols.ssh import Ssh
from agent.protocols.tls import Tls

PARSERS: tuple[type[Parser], ...] = (Tls, Dicom, Hl7, Http, Smb2, Dns, Sip, Ssh, Dhcp, Kerberos, Rdp, Mqtt)
"""Strict recognisers first: the first that says yes gets the conversation."""

_BY_FIRST_BYTE = {
    transport: tuple(
        tuple(parser for parser in PARSERS if transport in parser.transports and byte in parser.first_bytes)
        for byte in range(256)
    )
    for transport in ("tcp", "udp")
}


def identify(transport: str, payload: bytes, source_port: int, destination_port: int) -> Parser | None:
    """A new parser for the conversation that these first bytes of a segment belong to, or None."""
    for parser in _BY_FIRST_BYTE[transport][payload[0]]:
        if parser.looks_like(payload, source_port, destination_port):
            return parser()
    return None
