# cython: language_level=3, annotation_typing=False
"""SMB 2 and 3 over direct TCP (MS-SMB2 §2.1, §2.2): what is done to which share; never a file's name.

What a client asks to be written, renamed or deleted is told with the request. What only the answer decides (negotiate,
session_setup, tree_connect, create, open, read) is told with the response, as is a refusal of anything.
"""

from __future__ import annotations

from struct import Struct

from agent.protocol import DONE, FOREIGN, Framer, Octets, Parser

PLAIN, ENCRYPTED, COMPRESSED, SMB1 = b"\xfeSMB", b"\xfdSMB", b"\xfcSMB", b"\xffSMB"
NETBIOS_HEADER, HEADER = 4, 64
KEEP = 2048
KEEP_ALIVE = b"\x85\0\0\0"
MOST_COMPOUNDED, MOST_PENDING, MOST_SHARES = 32, 64, 16
RESPONSE, ASYNC, RELATED = 0x1, 0x2, 0x4
NEGOTIATE, SESSION_SETUP, TREE_CONNECT, CREATE, READ, WRITE, SET_INFO = 0, 1, 3, 5, 8, 9, 17
ACTIONS = {
    NEGOTIATE: "negotiate", SESSION_SETUP: "session_setup", TREE_CONNECT: "tree_connect", CREATE: "create",
    6: "close", READ: "read", WRITE: "write", 11: "ioctl", 14: "query_directory", SET_INFO: "set_info",
}  # fmt: skip
ANSWERED = frozenset({NEGOTIATE, SESSION_SETUP, TREE_CONNECT, CREATE, READ})
DIALECTS = {0x0202: "2.0.2", 0x0210: "2.1", 0x02FF: "2.FF", 0x0300: "3.0", 0x0302: "3.0.2", 0x0311: "3.1.1"}
RENAMES, DELETES = frozenset({10, 65}), frozenset({13, 64})
"""FileRenameInformation and FileDispositionInformation with their Ex forms (MS-FSCC §2.4)."""
DELETE_ON_CLOSE = 0x1000
PENDING, MORE_PROCESSING = 0x00000103, 0xC0000016
TOLD = frozenset({
    0xC0000022, 0xC0000043, 0xC0000061, 0xC0000064, 0xC000006A, 0xC000006D, 0xC000006E, 0xC000006F, 0xC0000070,
    0xC0000071, 0xC0000072, 0xC000007F, 0xC00000A2, 0xC00000BB, 0xC00000CA, 0xC00000CC, 0xC0000121, 0xC0000193,
    0xC0000203, 0xC0000224, 0xC0000234,
})  # fmt: skip
"""Statuses that say who may not, or what is full or locked (MS-ERREF §2.3.1); others are everyday probing."""

_HEADER = Struct("<4sHHIHHIIQIIQ16s")
_NTLM_AUTHENTICATE = b"NTLMSSP\0\3\0\0\0"

Pending = tuple[str, str]


class Smb2(Parser):
    """Tells commands by share, with sums of bytes; encrypted sessions only as such."""

    __slots__ = ("_framers", "_pending", "_sealed", "_shares")

    name = "smb2"
    transports = frozenset({"tcp"})
    first_bytes = b"\0"

    def __init__(self) -> None:
        self._begin()
        keep = NETBIOS_HEADER + KEEP
        self._framers = (_Messages(8, keep), _Messages(8, keep))
        self._pending: dict[int, Pending] = {}
        self._shares: dict[int, str] = {}
        self._sealed = PLAIN
        for framer in self._framers:
            framer.reset()

    @staticmethod
    def looks_like(payload: bytes, source_port: int, destination_port: int) -> bool:
        """Whether a direct TCP header stands before one of the four protocol identifiers (§2.1, §2.2.1, §2.2.41)."""
        del source_port, destination_port
        if len(payload) < 12 or payload[0] or payload[5:8] != b"SMB" or payload[4] < 0xFC:
            return False
        return payload[4] != 0xFE or payload[8:10] == b"\x40\0"

    def data(self, direction: int, payload: bytes, length: int, when: int) -> int:
        """Take the next bytes of one direction."""
        if payload == KEEP_ALIVE:
            return 0
        framer = self._framers[direction]
        messages = framer.feed(payload, length)
        if framer.foreign:
            return FOREIGN
        for message, _ in messages:
            kind = Octets.part(message, 4, 8)
            if kind == PLAIN:
                self._walk(message, when)
            elif kind == SMB1:
                if self._smb1(message, when):
                    return DONE
            elif kind != self._sealed:
                self._sealed = kind
                self._note(when, "encrypted" if kind == ENCRYPTED else "compressed")
        return framer.skip

    def gap(self, direction: int) -> None:
        """Look for the next message at the start of a segment."""
        framer = self._framers[direction]
        framer.reset()

    def _note(self, when: int, action: str, sums: dict[str, int] | None = None, **fields: str) -> None:
        told: dict[str, object] = {"protocol": "smb2", "action": action}
        told.update({name: value for name, value in fields.items() if value})
        self.note("network.session", when, told, sums)

    def _walk(self, message: bytes, when: int) -> None:
        """Go through the commands that one message compounds (§3.2.4.1.4), as far as they were kept."""
        at, last_tree = NETBIOS_HEADER, 0
        for _ in range(MOST_COMPOUNDED):
            if len(message) < at + HEADER:
                return
            _, size, _, status, command, _, flags, after, number, _, tree, _, _ = _HEADER.unpack_from(message, at)
            if size != HEADER:
                return
            if flags & ASYNC:
                tree = 0
            elif flags & RELATED and tree == 0xFFFFFFFF:
                tree = last_tree
            last_tree = tree
            if command in ACTIONS:
                body = message[at + HEADER : at + after if after else None]
                if flags & RESPONSE:
                    self._response(command, status, number, tree, body, when)
                else:
                    self._request(command, number, tree, body, when)
            if after < HEADER:
                return
            at += after

    def _request(self, command: int, number: int, tree: int, body: bytes, when: int) -> None:
        action, sums = ACTIONS[command], None
        share = self._shares.get(tree, "")
        if command == TREE_CONNECT:
            share = _share(body)
        elif command == CREATE:
            action = _opening(body)
        elif command == SET_INFO:
            action = _change(body)
        elif command == WRITE:
            sums = {"size": _number(body, 4)}
        elif command == SESSION_SETUP:
            share = _user(body)
        if command in ANSWERED or command == SET_INFO:
            if len(self._pending) >= MOST_PENDING:
                self._pending.pop(next(iter(self._pending)))
            self._pending[number] = action, share
        if command not in ANSWERED:
            self._note(when, action, sums, share=share)

    def _response(self, command: int, status: int, number: int, tree: int, body: bytes, when: int) -> None:
        if status == PENDING:
            return
        action, share = self._pending.pop(number, (ACTIONS[command], self._shares.get(tree, "")))
        if status >> 30 == 3:
            self._refusal(command, status, action, share, when)
        elif command == NEGOTIATE:
            dialect = _number(body, 4) & 0xFFFF
            self._note(when, action, version=DIALECTS.get(dialect) or f"{dialect:04x}", outcome="success")
        elif command == SESSION_SETUP:
            self._note(when, action, user=share, outcome="success")
        elif command == TREE_CONNECT:
            self._mount(tree, share)
            self._note(when, action, share=share, outcome="success")
        elif command == CREATE:
            if action == "create" and _number(body, 4) == 1:  # FILE_OPENED
                action = "open"
            self._note(when, action, share=share, outcome="success")
        elif command == READ:
            self._note(when, action, {"size": _number(body, 4)}, share=share)

    def _refusal(self, command: int, status: int, action: str, share: str, when: int) -> None:
        code = f"{status:08X}"
        if command == SESSION_SETUP:
            if status != MORE_PROCESSING:
                self._note(when, action, user=share, status=code, outcome="failure")
        elif status in TOLD or command in (NEGOTIATE, TREE_CONNECT):
            self._note(when, action, share=share, status=code, outcome="failure")
        elif command == CREATE:
            self._note(when, action, share=share, outcome="failure")

    def _mount(self, tree: int, share: str) -> None:
        if len(self._shares) >= MOST_SHARES:
            self._shares.pop(next(iter(self._shares)))
        self._shares[tree] = share

    def _smb1(self, message: bytes, when: int) -> bool:
        """Note that SMB1 is offered alone, or chosen (MS-CIFS §2.2.4.52); whether SMB1 it stays."""
        negotiates = message[8:9] == b"\x72"
        answer = bool(message[13:14] and message[13] & 0x80)
        if not answer and b"\x02SMB 2." in message:
            return False
        self._note(when, "negotiate" if negotiates else "smb1", version="SMB1", outcome="success" if answer else "")
        return answer or not negotiates


class _Messages(Framer):
    """One direction's direct TCP packets (§2.1), each in front of a protocol identifier."""

    __slots__ = ()

    def _measure(self, header: bytes) -> int:
        size = header[1] << 16 | header[2] << 8 | header[3]
        if header[0] or size < 32 or header[4] < 0xFC or Octets.part(header, 5, 8) != b"SMB":
            self.foreign = not self._lost
            return -1
        return NETBIOS_HEADER + size


def _number(body: bytes, at: int) -> int:
    return int.from_bytes(body[at : at + 4], "little")


def _opening(body: bytes) -> str:
    """Tell what a CREATE means to do (§2.2.13)."""
    if _number(body, 40) & DELETE_ON_CLOSE:
        return "delete"
    return "open" if _number(body, 36) == 1 else "create"


def _change(body: bytes) -> str:
    """Tell what a SET_INFO on a file does (§2.2.39)."""
    if body[2:3] != b"\1":
        return "set_info"
    kind = body[3] if len(body) > 3 else 0
    if kind in RENAMES:
        return "rename"
    start = int.from_bytes(body[8:10], "little") - HEADER
    if kind in DELETES and (body[start : start + 1] or b"\1")[0] & 1:
        return "delete"
    return "set_info"


def _share(body: bytes) -> str:
    r"""Read a TREE_CONNECT's share from its \\host\share (§2.2.9)."""
    path = _text(body, int.from_bytes(body[4:6], "little") - HEADER, int.from_bytes(body[6:8], "little"))
    return path.rsplit("\\", 1)[-1]


def _user(body: bytes) -> str:
    """Read the user name from a SESSION_SETUP with NTLM's last message (MS-NLMP §2.2.1.3)."""
    start = body.find(_NTLM_AUTHENTICATE)
    if start < 0:
        return ""
    ntlm = body[start:]
    return _text(ntlm, _number(ntlm, 40), int.from_bytes(ntlm[36:38], "little"))


def _text(body: bytes, start: int, size: int) -> str:
    """Decode UTF-16 text; empty where it was not kept whole."""
    text = body[start : start + min(size, 512)] if start > 0 else b""
    return text.decode("utf-16-le", "replace") if len(text) >= min(size, 512) else ""
