"""`hl7.message`: the header facts of HL7 v2 messages; no segment but MSH and MSA is read."""

from __future__ import annotations

from msgspec import field

from nigrani.stream.event import Conversation, Count, Name, Word


class Hl7Message(Conversation, kw_only=True, tag="hl7.message"):
    """Messages of one type between two applications (HL7 v2.x chapter 2, MSH and MSA)."""

    direction: Word = field(name="network.direction", default="")
    """`request` from the originator of the connection, `response` from its responder."""
    code: Word = field(name="hl7.message.code", default="")
    """MSH-9.1, such as ADT or ACK."""
    trigger: Word = field(name="hl7.message.trigger", default="")
    """MSH-9.2, such as A01."""
    version: Word = field(name="hl7.version", default="")
    """MSH-12.1."""
    ack: Word = field(name="hl7.ack", default="")
    """MSA-1: AA, AE, AR, CA, CE or CR."""
    sending_application: Name = field(name="hl7.sending_application", default="")
    """MSH-3.1."""
    receiving_application: Name = field(name="hl7.receiving_application", default="")
    """MSH-5.1."""
    size: Count = field(name="hl7.bytes", default=0)
    """Bytes of the messages counted here, MLLP framing included."""
