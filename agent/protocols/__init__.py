"""The protocols the agent knows, one module each, in the order in which they are asked whether bytes are theirs."""

from __future__ import annotations

from agent.protocol import Parser, Recogniser
from agent.protocols.dhcp import Dhcp
from agent.protocols.dicom import Dicom
from agent.protocols.dns import Dns
from agent.protocols.hl7 import Hl7
from agent.protocols.http import Http
from agent.protocols.kerberos import Kerberos
from agent.protocols.mqtt import Mqtt
from agent.protocols.rdp import Rdp
from agent.protocols.rtp import Rtp
from agent.protocols.sip import Sip
from agent.protocols.smb2 import Smb2
from agent.protocols.ssh import Ssh
from agent.protocols.tls import Tls

PARSERS: tuple[type[Parser], ...] = (Tls, Dicom, Hl7, Http, Smb2, Dns, Sip, Ssh, Dhcp, Kerberos, Rdp, Mqtt, Rtp)
"""Strict recognisers first: the first that says yes gets the conversation."""

identify = Recogniser(PARSERS).identify
"""(transport, first payload, source port, destination port) → a new parser, or None."""
