# cython: language_level=3, annotation_typing=False
"""HL7 v2 over MLLP (HL7 v2.x chapter 2, MLLP release 2): which message, between which applications, and its answer.

Of each message the first bytes are kept, and of these only MSH and MSA are read, with the separators that MSH tells. In
the rest nothing is looked for but the end block.
"""

from __future__ import annotations

from agent.protocol import Fact, Octets, Parser

_START = 0x0B
_END = b"\x1c"
_FRAMING = 2
"""Bytes of the end block, its carriage return included whether it came or not."""
_KEPT = 512
_KEPT_KINDS = 16
_DESCRIBED_KEPT = 1024
_described: dict[tuple[object, ...], dict[str, object]] = {}
"""Kinds of messages of all connections: a site's applications speak alike on each."""
_STRAYS = 8
"""Segments that may lie outside any message before the conversation is given up; after lost bytes none is counted."""
_ACKNOWLEDGEMENTS = {b"AA": "AA", b"AE": "AE", b"AR": "AR", b"CA": "CA", b"CE": "CE", b"CR": "CR"}
"""MSA-1 (HL7 table 0008)."""
_COMMITS = {b"\x0b\x06": "CA", b"\x0b\x15": "CR"}
"""MLLP release 2's own acknowledgements, ACK and NAK, as the commit acknowledgements that they are."""
_DIRECTIONS = ("request", "response")
_BEFORE_MSA = (b"SFT", b"UAC")
_HEADERS = (b"\x0bMSH", b"\x0bFHS", b"\x0bBHS")
_SEPARATORS = b"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
_IS_SEPARATOR = bytes(byte in _SEPARATORS for byte in range(256))
_CODE_BYTES = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"
_VERSION_BYTES = b"0123456789."


def code(value: bytes) -> str:
    """Clean a component of MSH-9."""
    value = value.strip().upper()
    return "other" if len(value) > 8 or value.strip(_CODE_BYTES) else value.decode("ascii")


def version(value: bytes) -> str:
    """Clean MSH-12.1."""
    value = value.strip()
    return "other" if len(value) > 8 or value.strip(_VERSION_BYTES) else value.decode("ascii")


def application(value: bytes) -> str:
    """Clean MSH-3.1 or MSH-5.1: a site's own name, for privacy to tokenise."""
    name = value.decode("utf-8", "replace").strip()[:64]
    return name if name.isprintable() else "".join(letter if letter.isprintable() else "?" for letter in name)


def answer_code(kept: bytes, end: int) -> bytes:
    """Find MSA-1 behind the segment that ends here: MSA follows MSH, but for SFT and UAC (HL7 v2.x §2.13.1)."""
    position = end + 1
    while position > 0:
        if position < len(kept) and kept[position] == 0x0A:
            position += 1
        name = Octets.part(kept, position, position + 3)
        if name == b"MSA":
            return Octets.part(kept, position + 4, position + 6)
        if name not in _BEFORE_MSA:
            break
        position = kept.find(b"\r", position) + 1
    return b""


def describe(direction: int, front: bytes, kind: bytes, version_: bytes, answer: bytes) -> dict[str, object]:
    """Name the fields of one kind of message, from MSH up to MSH-5, MSH-9 and MSH-12; an empty one is left out."""
    msh = front.split(front[3:4] or b"|", 4)
    msh += [b""] * (5 - len(msh))
    separator = msh[1][:1] or b"^"
    parts = kind.split(separator, 2)
    fields: dict[str, object] = {
        "direction": _DIRECTIONS[direction],
        "code": code(parts[0]),
        "trigger": code(parts[1]) if len(parts) > 1 else "",
        "version": version(version_.split(separator, 1)[0]),
        "ack": _ACKNOWLEDGEMENTS.get(answer, ""),
        "sending_application": application(msh[2].split(separator, 1)[0]),
        "receiving_application": application(msh[4].split(separator, 1)[0]),
    }
    return {name: value for name, value in fields.items() if value}


def _describe_once(
    key: tuple[object, ...], direction: int, front: bytes, kind: bytes, version_: bytes, answer: bytes
) -> dict[str, object]:
    """Describe, or know it from another connection."""
    fields = _described.get(key)
    if fields is None:
        fields = describe(direction, front, kind, version_, answer)
        if len(_described) >= _DESCRIBED_KEPT:
            _described.clear()
        _described[key] = fields
    return fields


class _Side:
    """One direction: the message that is open in it, if any."""

    __slots__ = ("answer", "cut", "fields", "front", "kept", "kind", "lost", "size", "version")

    def __init__(self) -> None:
        self.fields: dict[str, object] | None = None
        """What the last message said, of which `front`, `kind`, `version` and `answer` were what told it."""
        self.front = self.kind = self.version = self.answer = b""
        self.kept = b""
        self.size = 0
        """Bytes of the open message so far; 0 where none is open."""
        self.cut = False
        """Bytes of the open message were not captured: its end may have been among them."""
        self.lost = True
        """The stream was joined in its middle, or bytes between messages were not captured."""


class Hl7(Parser):
    """One MLLP connection."""

    __slots__ = ("_kinds", "_sides", "_strays", "_when")

    name = "hl7"
    first_bytes = bytes((_START,))

    def __init__(self) -> None:
        self._begin()
        self._sides = (_Side(), _Side())
        self._kinds: dict[tuple[object, ...], dict[str, object]] = {}
        self._strays = 0
        self._when = 0

    @staticmethod
    def looks_like(payload: bytes, source_port: int, destination_port: int) -> bool:
        """Whether a start block stands before a header segment that announces separators (HL7 v2.x §2.5.4)."""
        del source_port, destination_port
        if len(payload) < 8:
            return payload[:2] in _COMMITS and payload[2:] in (b"\x1c", b"\x1c\r")
        if payload[0] != _START or not payload.startswith(_HEADERS):
            return False
        announced, found, _ = payload[5:11].partition(payload[4:5])
        return found != b"" and announced != b"" and not (found + announced).strip(_SEPARATORS)

    def data(self, direction: int, payload: bytes, length: int, when: int) -> int:
        """See `Parser.data`."""
        position = 0
        captured = len(payload)
        side = self._sides[direction]
        other = self._sides[1 - direction]
        self._when = when
        if other.cut:
            self._close(1 - direction)
        if side.cut and payload[0] == _START:
            self._close(direction)
        while position < captured:
            if side.size == 0:
                position = self._start(side, payload, position)
                if position == captured:
                    break
            stop = payload.find(_END, position)
            if stop < 0:
                self._keep(side, Octets.part(payload, position, position + _KEPT), length - position)
                side.cut = side.size > 0 and (side.cut or length > captured)
                break
            kept = Octets.part(payload, position, min(stop, position + _KEPT))
            size = stop - position + _FRAMING
            if side.size:
                self._keep(side, kept, 0)
                kept = side.kept
                size += side.size
            if self._end(direction, side, kept, size):
                side.lost = False
            position = stop + 1
        if length > captured:
            side.lost = True
        return 0

    def gap(self, direction: int) -> None:
        """See `Parser.gap`; a message that is open may have ended in the gap."""
        side = self._sides[direction]
        side.cut = side.size > 0
        side.lost = True

    def cut(self) -> list[Fact]:
        """See `Parser.cut`; a message whose end the snap length cut off is told at last."""
        fresh, self.fresh = self.fresh, []
        for direction, side in enumerate(self._sides):
            if side.cut:
                self._close(direction)
        late, self.fresh = self.fresh, fresh
        return late + Parser.cut(self)

    def _start(self, side: _Side, payload: bytes, position: int) -> int:
        """Find the next start block; the payload's end where there is none."""
        while position < len(payload) and payload[position] in b"\r\n":
            position += 1
        if position == len(payload) or payload[position] == _START:
            return position
        self._stray(side)
        position = payload.find(_HEADERS[0], position)
        return position if position >= 0 else len(payload)

    def _stray(self, side: _Side) -> None:
        if not side.lost:
            self._strays += 1
            if self._strays > _STRAYS:
                raise ValueError("no message in sight")

    def _keep(self, side: _Side, part: bytes, length: int) -> None:
        """Open a message or add to the open one; drop what cannot be a message."""
        side.size += length
        if side.cut or len(side.kept) == _KEPT:
            return
        side.kept += Octets.part(part, 0, _KEPT - len(side.kept))
        if len(side.kept) >= 4 and not side.kept.startswith(_HEADERS) and side.kept[:2] not in _COMMITS:
            side.kept = b""
            side.size = 0
            self._stray(side)

    def _close(self, direction: int) -> None:
        """End a message whose last bytes were not captured."""
        side = self._sides[direction]
        side.lost = True
        self._end(direction, side, side.kept, side.size)

    def _end(self, direction: int, side: _Side, kept: bytes, size: int) -> bool:
        """Tell the message that has these first bytes, if it is one, and leave none open."""
        fields = self._read(direction, side, kept, side.cut or len(kept) == _KEPT)
        if side.size:
            side.kept = b""
            side.size = 0
            side.cut = False
        if fields is None:
            self._stray(side)
            return False
        self.note_size("hl7.message", self._when, fields, size)
        return True

    def _read(self, direction: int, side: _Side, kept: bytes, cut: bool) -> dict[str, object] | None:
        """Read MSH and MSA; None where there is no MSH. `cut`: the kept bytes may end within a field."""
        begin = 1
        answer = b""
        if not kept.startswith(_HEADERS[0]):
            if kept in _COMMITS:
                return {"direction": _DIRECTIONS[direction], "ack": _COMMITS[kept]}
            begin = kept.find(b"\rMSH") + 1 if kept.startswith(_HEADERS) else 0
        if begin == 0 or len(kept) < begin + 4 or not _IS_SEPARATOR[kept[begin + 3]]:
            return None
        byte = kept[begin + 3]
        end = Octets.nth(kept, 0x0D, 1, begin, len(kept))
        if end == len(kept):
            end = kept.find(b"\n", begin)
        if end < 0:
            end = kept.rfind(Octets.part(kept, begin + 3, begin + 4)) if cut else len(kept)
        else:
            answer = answer_code(kept, end)
        position = Octets.nth(kept, byte, 4, begin + 4, end)
        front = Octets.part(kept, begin, position)  # up to MSH-5
        position = Octets.nth(kept, byte, 3, position + 1, end)
        stop = Octets.nth(kept, byte, 1, position + 1, end)
        kind = Octets.part(kept, position + 1, stop)  # MSH-9
        position = Octets.nth(kept, byte, 2, stop + 1, end)
        version_ = Octets.part(kept, position + 1, Octets.nth(kept, byte, 1, position + 1, end))  # MSH-12
        fields = side.fields
        if fields is None or front != side.front or kind != side.kind or version_ != side.version or answer != side.answer:
            fields = self._describe(direction, front, kind, version_, answer)
            side.fields = fields
            side.front = front
            side.kind = kind
            side.version = version_
            side.answer = answer
        return fields

    def _describe(self, direction: int, front: bytes, kind: bytes, version_: bytes, answer: bytes) -> dict[str, object]:
        """Describe, or know it from before."""
        key = (direction, front, kind, version_, answer)
        fields = self._kinds.get(key)
        if fields is None:
            fields = _describe_once(key, direction, front, kind, version_, answer)
            if len(self._kinds) < _KEPT_KINDS:
                self._kinds[key] = fields
        return fields
