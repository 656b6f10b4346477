"""HL7 v2 over MLLP (HL7 v2.x chapter 2, MLLP release 1 and 2): which message, between which applications, and its answer.

Of each message the first bytes are kept and only MSH and MSA are read, with the separators that MSH itself announces. No
other segment is looked at, but for the end block.
"""

from __future__ import annotations

from agent.protocol import Fact, Parser

try:
    import cython
except ModuleNotFoundError:
    from agent import pure as cython

_START = 0x0B
_KEPT = 512
_KEPT_KINDS = 16
_STRAYS = 8
"""Segments that may lie outside any message before the conversation is given up; none is counted where bytes were lost."""
_ACKNOWLEDGEMENTS = {
    b"AA": "AA", b"AE": "AE", b"AR": "AR", b"CA": "CA", b"CE": "CE", b"CR": "CR",
    b"\x06": "CA", b"\x15": "CR",
}  # fmt: skip
"""MSA-1 (HL7 table 0008), and MLLP release 2's commit acknowledgements ACK and NAK."""
_HEADERS = (b"MSH", b"FHS", b"BHS")
_CODE_BYTES = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"
_VERSION_BYTES = b"0123456789."


def _code(value: bytes) -> str:
    """Clean a component of MSH-9."""
    value = value.strip().upper()
    return "other" if len(value) > 8 or value.strip(_CODE_BYTES) else value.decode("ascii")
