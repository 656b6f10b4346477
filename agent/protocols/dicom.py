# cython: language_level=3, annotation_typing=False
"""DICOM upper layer (PS3.8 §9.3) and DIMSE commands (PS3.7 §9.3, annex E): who asks whom for what, and the answer.

Negotiation items and command sets are read; a fragment of a data set is passed over by its length and never looked at.
An association is known by content on any port, at its start or from its middle.
"""

from __future__ import annotations

from collections.abc import Generator
from struct import Struct

from agent.protocol import Octets, Parser

A_ASSOCIATE_RQ, A_ASSOCIATE_AC, A_ASSOCIATE_RJ, P_DATA_TF, A_RELEASE_RQ, A_RELEASE_RP, A_ABORT = range(1, 8)
"""PDU types (PS3.8 §9.3.1)."""

_PDU = Struct(">BxI")
_ITEM = Struct(">BxH")
_PDV = Struct(">IxB")
_ELEMENT = Struct("<HHI")

_MAX_ASSOCIATE = 1 << 20
_MAX_DATA = 1 << 26
"""Longest PDUs believed. Peers announce 16 KB to 1 MB; a claim beyond this is not DICOM, or means to blind us."""
_VERSION_1 = b"\0\1\0\0"
_KEPT_ITEM = 512
_KEPT_COMMAND = 1024
_KEPT_SYNTAXES = 16
_STRAYS = 8
"""Segments that may begin with no PDU, once bytes have contradicted the protocol, before the parser gives up."""

_COMMAND_FIELD, _STATUS = 0x0100, 0x0900
_AFFECTED_SOP_CLASS, _REQUESTED_SOP_CLASS, _MOVE_DESTINATION = 0x0002, 0x0003, 0x0600
_RESPONSE = 0x8000
_COMMANDS = {
    0x0001: "c-store",
    0x0010: "c-get",
    0x0020: "c-find",
    0x0021: "c-move",
    0x0030: "c-echo",
    0x0100: "n-event-report",
    0x0110: "n-get",
    0x0120: "n-set",
    0x0130: "n-action",
    0x0140: "n-create",
    0x0150: "n-delete",
    0x0FFF: "c-cancel",
}
"""Command fields of the requests (PS3.7 §E.1); a response's has 0x8000 added."""

_PRINTABLE = bytes(byte if 0x20 <= byte < 0x7F else 0x3F for byte in range(256))
_UID_BYTES = b"0123456789."

_NO_PDU = 1 << 40
Reader = Generator[int, bytes, bool]
"""Asks for the stream's next n bytes by yielding n, passes over them by yielding -n; fewer come where the capture ends.
Returns False once that has happened. Raises ValueError or, where that is common, yields _NO_PDU where no PDU begins."""


def text(value: bytes) -> str:
    """Clean an AE title or a version name: padding off, printable ASCII only."""
    return value.translate(_PRINTABLE, b"\0").strip().decode("ascii")


def uid(value: bytes) -> str:
    """Clean a UID (PS3.5 §9.1); empty where it is none."""
    value = value.rstrip(b"\0 ")
    return "" if len(value) > 64 or value.strip(_UID_BYTES) else value.decode("ascii")


def starts(payload: bytes) -> bool:
    """Whether a segment begins with a PDU, asked strictly: reserved bytes zero, lengths that agree (PS3.8 §9.3)."""
    if len(payload) < 10 or not A_ASSOCIATE_RQ <= payload[0] <= A_ABORT or payload[1]:
        return False
    kind, length = _PDU.unpack_from(payload)
    if kind == P_DATA_TF:
        return length <= _MAX_DATA and _starts_value(payload, length)
    if kind <= A_ASSOCIATE_AC:
        return 68 <= length <= _MAX_ASSOCIATE and payload[6:10] == _VERSION_1 and payload[74:75] in (b"", b"\x10")
    return length == 4 and len(payload) == 10 and payload[6] == 0 and _is_short(kind, payload)


def _starts_value(payload: bytes, length: int) -> bool:
    """Whether a presentation data value that fits its PDU follows, in a context of odd number (PS3.8 §9.3.5.1)."""
    if len(payload) < 12:
        return False
    value, control = _PDV.unpack_from(payload, 6)
    return 2 <= value <= length - 4 and control < 4 and payload[10] & 1 == 1


def _is_short(kind: int, payload: bytes) -> bool:
    """Whether the last three of a rejection's, a release's or an abort's four bytes have values the standard gives."""
    if kind == A_ASSOCIATE_RJ:
        return payload[7] in (1, 2) and payload[8] in (1, 2, 3)
    if kind == A_ABORT:
        return payload[7] == 0 and payload[8] <= 2 and payload[9] <= 6
    return payload[7:] == b"\0\0\0"


class Association:
    """What both directions know of one association, and what is yet to be told of it."""

    __slots__ = ("called", "calling", "told")

    def __init__(self) -> None:
        self.calling = ""
        self.called = ""
        self.told: list[dict[str, object]] = []

    def tell(self, action: str, **more: object) -> None:
        """Add one act; empty values are left out."""
        fields: dict[str, object] = {"action": action}
        if self.calling:
            fields["calling_ae"] = self.calling
        if self.called:
            fields["called_ae"] = self.called
        fields.update({name: value for name, value in more.items() if value not in ("", ())})
        self.told.append(fields)


class Negotiation:
    """The items of an A-ASSOCIATE-RQ or -AC (PS3.8 §9.3.2, §9.3.3, annex D; PS3.7 annex D.3.3)."""

    __slots__ = ("contexts", "implementation_uid", "implementation_version", "syntaxes")

    def __init__(self) -> None:
        self.contexts = 0
        self.syntaxes: dict[str, None] = {}
        self.implementation_uid = ""
        self.implementation_version = ""

    def take(self, kind: int, body: bytes) -> None:
        """One item: 0x20 is a context proposed, 0x21 a context answered, 0x50 the user information."""
        if kind == 0x20:
            self.contexts += 1
            self._subitems(body[4:])
        elif kind == 0x21:
            self.contexts += body[2:3] == b"\0"
        elif kind == 0x50:
            self._subitems(body)

    def _subitems(self, body: bytes) -> None:
        position = 0
        while position + 4 <= len(body):
            kind = body[position]
            length = body[position + 2] << 8 | body[position + 3]
            position += 4 + length
            if position > len(body):
                return
            value = Octets.part(body, position - length, position)
            if kind == 0x30 and len(self.syntaxes) < _KEPT_SYNTAXES:
                self.syntaxes[uid(value) or "other"] = None
            elif kind == 0x52:
                self.implementation_uid = uid(value)
            elif kind == 0x55:
                self.implementation_version = text(value[:16])


def _associate(association: Association, kind: int, left: int) -> Reader:
    """Walk an A-ASSOCIATE-RQ or -AC item by item; the number of contexts is told only where all were seen."""
    if not 68 <= left <= _MAX_ASSOCIATE:
        raise ValueError("not the length of an A-ASSOCIATE")
    fixed = yield 68
    left -= 68
    if not fixed.startswith(_VERSION_1[: len(fixed)]):
        raise ValueError("not protocol version 1")
    if len(fixed) >= 36 and (kind == A_ASSOCIATE_RQ or not association.calling):
        association.called = text(fixed[4:20])
        association.calling = text(fixed[20:36])
    found = Negotiation()
    whole = len(fixed) == 68
    while whole and left > 0:
        header = yield 4
        whole = len(header) == 4
        if not whole:
            break
        item, length = _ITEM.unpack(header)
        left -= 4 + length
        if left < 0:
            break
        keep = min(length, _KEPT_ITEM)
        body = yield keep
        found.take(item, body)
        whole = len(body) == keep
        if whole:
            yield keep - length
    association.tell(
        "associate-rq" if kind == A_ASSOCIATE_RQ else "associate",
        contexts=found.contexts if whole and not left else "",
        abstract_syntaxes=tuple(found.syntaxes),
        implementation_uid=found.implementation_uid,
        implementation_version=found.implementation_version,
    )
    if left < 0:
        raise ValueError("an item is longer than its PDU")
    return whole


def _values(association: Association, command: bytearray, left: int) -> Reader:
    """Walk the presentation data values of a P-DATA-TF (PS3.8 §9.3.5, annex E.2); `command` is what came before."""
    if not 6 <= left <= _MAX_DATA:
        raise ValueError("not the length of a P-DATA-TF")
    while left:
        header = yield 6
        if len(header) < 6:
            return False
        length, control = _PDV.unpack(header)
        left -= 4 + length
        if length < 2 or left < 0:
            raise ValueError("a presentation data value is longer than its PDU")
        keep = min(length - 2, _KEPT_COMMAND - len(command)) if control & 1 else 0
        fragment = yield keep
        command += fragment
        cut = len(fragment) < keep
        if control & 1 and (control & 2 or cut):
            _tell_command(association, bytes(command))
            command.clear()
        if cut:
            return False
        yield keep - (length - 2)
    return True


def _elements(command: bytes) -> dict[int, bytes]:
    """Read a command set as far as it was kept (PS3.7 §6.3.1): group 0000 in implicit VR little endian."""
    found = {}
    position = 0
    while position + 8 <= len(command):
        group, element, length = _ELEMENT.unpack_from(command, position)
        if group:
            raise ValueError("a command set holds group 0000 only")
        position += 8 + length
        if position <= len(command):
            found[element] = command[position - length : position]
    return found


def _tell_command(association: Association, command: bytes) -> None:
    elements = _elements(command)
    field = int.from_bytes(elements.get(_COMMAND_FIELD, b"")[:2], "little")
    if not field:
        return
    action = _COMMANDS.get(field & ~_RESPONSE, "other")
    status = ""
    if field & _RESPONSE:
        action += "-rsp"
        if _STATUS in elements:
            status = f"{int.from_bytes(elements[_STATUS][:2], 'little'):04X}"
    association.tell(
        action,
        sop_class=uid(elements.get(_AFFECTED_SOP_CLASS) or elements.get(_REQUESTED_SOP_CLASS, b"")),
        status=status,
        move_destination=text(elements.get(_MOVE_DESTINATION, b"")[:16]),
    )


def _short(association: Association, kind: int, left: int) -> Reader:
    """Read an A-ASSOCIATE-RJ, A-RELEASE-RQ, A-RELEASE-RP or A-ABORT: four bytes (PS3.8 §9.3.4, §9.3.6 to §9.3.8)."""
    if left != 4:
        raise ValueError("a PDU of this type has four bytes")
    body = yield 4
    if len(body) < 4:
        return False
    if kind == A_ASSOCIATE_RJ:
        association.tell("reject", reject_result=body[1], reject_source=body[2], reject_reason=body[3])
    elif kind == A_RELEASE_RQ:
        association.tell("release")
    elif kind == A_ABORT:
        association.tell("abort", abort_source=body[2])
    return True


def _read(association: Association) -> Reader:
    """Read the PDUs of one direction, one after another, until the capture cuts one."""
    command = bytearray()
    whole = True
    while whole:
        header = yield 6
        if len(header) < 6:
            return False
        kind, left = _PDU.unpack(header)
        if kind == P_DATA_TF:
            whole = yield from _values(association, command, left)
        elif kind in (A_ASSOCIATE_RQ, A_ASSOCIATE_AC):
            whole = yield from _associate(association, kind, left)
        elif A_ASSOCIATE_RJ <= kind <= A_ABORT:
            whole = yield from _short(association, kind, left)
        else:
            yield _NO_PDU
    return False


class _Direction:
    """One direction's stream, and the reader it is served to."""

    __slots__ = ("_association", "_held", "_lost", "_proven", "_reader", "_strays", "_want")

    def __init__(self, association: Association) -> None:
        self._association = association
        self._proven = False
        self._begin()

    def _begin(self) -> None:
        self._lost = False
        self._strays = 0
        self._held = b""
        self._reader = _read(self._association)
        self._want = next(self._reader)

    def lose(self, strays: int = 0) -> None:
        """Wait for a segment that begins with a PDU: as long as it takes, or for this many that do not."""
        self._lost = True
        self._strays = strays
        self._held = b""

    def feed(self, payload: bytes, length: int) -> int:
        """Serve the bytes; how many of the stream's next ones the reader passes over."""
        if self._lost:
            if not starts(payload):
                if self._strays == 1:
                    raise ValueError("no PDU in sight")
                self._strays -= self._strays > 0
                return 0
            self._begin()
        try:
            return self._serve(payload, length)
        except StopIteration:
            self.lose()
        except ValueError:
            self.lose(_STRAYS if self._proven else 0)
        return 0

    def _serve(self, payload: bytes, length: int) -> int:
        captured = len(payload)
        position = 0
        while position < captured:
            part = Octets.part(payload, position, position + self._want - len(self._held))
            self._held = self._held + part if self._held else part
            position += len(part)
            if len(self._held) < self._want:
                break
            self._want = self._reader.send(self._held)
            if self._want == _NO_PDU:
                self.lose(_STRAYS if self._proven else 0)
                return 0
            self._proven = True
            self._held = b""
            while self._want <= 0:
                position -= self._want
                self._want = self._reader.send(b"")
        if position < length:
            self._reader.send(self._held)  # short: the reader tells what it has, and ends
        return position - length


class Dicom(Parser):
    """One association."""

    __slots__ = ("_association", "_directions")

    name = "dicom"
    first_bytes = bytes(range(A_ASSOCIATE_RQ, A_ABORT + 1))

    def __init__(self) -> None:
        self._begin()
        self._association = Association()
        self._directions = (_Direction(self._association), _Direction(self._association))

    @staticmethod
    def looks_like(payload: bytes, source_port: int, destination_port: int) -> bool:
        """By content alone: sites put DICOM on any port."""
        del source_port, destination_port
        return starts(payload)

    def data(self, direction: int, payload: bytes, length: int, when: int) -> int:
        """See `Parser.data`."""
        side = self._directions[direction]
        skip = side.feed(payload, length)
        told = self._association.told
        if told:
            for fields in told:
                self.note("dicom.association", when, fields)
            told.clear()
        return skip

    def gap(self, direction: int) -> None:
        """See `Parser.gap`."""
        side = self._directions[direction]
        side.lose()
