# cython: language_level=3, annotation_typing=False
"""SMB 2 and 3 over direct TCP (MS-SMB2 §2.1, §2.2): what is done to which share; never a file's name.

What a client asks to be written, renamed or deleted is told with the request. What only the answer decides (negotiate,
session_setup, tree_connect, create, open, read) is told with the response, as is a refusal of anything. What kind a share
is of, which pipe is opened and which RPC interface it is bound to are told in the words of closed lists.
"""

from __future__ import annotations

from struct import Struct
from uuid import UUID

from agent.protocol import DONE, FOREIGN, Framer, Octets, Parser

PLAIN, ENCRYPTED, COMPRESSED, SMB1 = b"\xfeSMB", b"\xfdSMB", b"\xfcSMB", b"\xffSMB"
NETBIOS_HEADER, HEADER = 4, 64
KEEP = 2048
KEEP_ALIVE = b"\x85\0\0\0"
MOST_COMPOUNDED, MOST_PENDING, MOST_SHARES, MOST_CONTEXTS = 32, 64, 16, 8
RESPONSE, ASYNC, RELATED = 0x1, 0x2, 0x4
NEGOTIATE, SESSION_SETUP, TREE_CONNECT, CREATE, READ, WRITE, IOCTL, SET_INFO = 0, 1, 3, 5, 8, 9, 11, 17
ACTIONS = {
    NEGOTIATE: "negotiate", SESSION_SETUP: "session_setup", TREE_CONNECT: "tree_connect", CREATE: "create",
    6: "close", READ: "read", WRITE: "write", IOCTL: "ioctl", 14: "query_directory", SET_INFO: "set_info",
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

SHARE_TYPES = {1: "disk", 2: "ipc", 3: "print"}
"""What a TREE_CONNECT answers (§2.2.10)."""
FSCTL_PIPE_TRANSCEIVE = 0x0011C017
BIND = 512
"""Bytes of a bind that are looked at: more than eight contexts need."""
PIPES = frozenset({
    "atsvc", "browser", "dfssvc", "drsuapi", "efsrpc", "epmapper", "eventlog", "fssagentrpc", "initshutdown", "lsarpc",
    "lsass", "netdfs", "netlogon", "ntsvcs", "protected_storage", "samr", "spoolss", "srvsvc", "svcctl", "tapsrv",
    "termsrv", "winreg", "wkssvc", "w32time",
})  # fmt: skip
PROGRAM_PIPES = ("psexesvc", "paexec", "remcom", "csexec")
"""How the pipes of programs begin that run commands on another machine; a name of the process follows."""
INTERFACES = {
    UUID(number).bytes_le: name
    for number, name in (
        ("367abb81-9844-35f1-ad32-98f038001003", "svcctl"),
        ("1ff70682-0a51-30e8-076d-740be8cee98b", "atsvc"),
        ("378e52b0-c0a9-11cf-822d-00aa0051e40f", "sasec"),
        ("86d35949-83c9-4044-b424-db363231fd0c", "ITaskSchedulerService"),
        ("a8e0653c-2744-4389-a61d-7373df8b2292", "FileServerVssAgent"),
        ("e3514235-4b06-11d1-ab04-00c04fc2dcd2", "drsuapi"),
        ("12345778-1234-abcd-ef00-0123456789ac", "samr"),
        ("12345778-1234-abcd-ef00-0123456789ab", "lsarpc"),
        ("12345678-1234-abcd-ef00-01234567cffb", "netlogon"),
        ("12345678-1234-abcd-ef00-0123456789ab", "spoolss"),
        ("338cd001-2244-31f1-aaaa-900038001003", "winreg"),
        ("4b324fc8-1670-01d3-1278-5a47bf6ee188", "srvsvc"),
        ("6bffd098-a112-3610-9833-46c3f87e345a", "wkssvc"),
        ("c681d488-d850-11d0-8c52-00c04fd90f7e", "efsrpc"),
        ("df1941c5-fe89-4e79-bf10-463657acf44d", "efsrpc"),
        ("4fc742e0-4a10-11cf-8273-00aa004ae673", "netdfs"),
    )
}
"""Interfaces by which a machine is run or searched from afar (§1.9 of MS-SCMR, MS-TSCH, MS-FSRVP, MS-DRSR, MS-SAMR, …)."""

_HEADER = Struct("<4sHHIHHIIQIIQ16s")
_NTLM_AUTHENTICATE = b"NTLMSSP\0\3\0\0\0"

_NOWHERE: dict[str, str] = {}

Pending = tuple[str, dict[str, str]]
"""An action, and the fields that say where or by whom it is done."""


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
        self._shares: dict[int, dict[str, str]] = {}
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
                self._note(when, "encrypted" if kind == ENCRYPTED else "compressed", _NOWHERE)
        return framer.skip

    def gap(self, direction: int) -> None:
        """Look for the next message at the start of a segment."""
        framer = self._framers[direction]
        framer.reset()

    def _note(
        self, when: int, action: str, place: dict[str, str], sums: dict[str, int] | None = None, **fields: str
    ) -> None:
        told: dict[str, object] = {"protocol": "smb2", "action": action}
        told.update(place)
        if fields:
            told.update(_filled(fields))
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
        place = self._shares.get(tree, _NOWHERE)
        if command == TREE_CONNECT:
            place = _share(body)
        elif command == CREATE:
            action, place = _opening(body), _piped(place, body)
        elif command == SET_INFO:
            action = _change(body)
        elif command == WRITE:
            sums = {"size": _number(body, 4)}
        elif command == SESSION_SETUP:
            place = _filled({"user": _user(body)})
        if command in ANSWERED or command == SET_INFO:
            if len(self._pending) >= MOST_PENDING:
                self._pending.pop(next(iter(self._pending)))
            self._pending[number] = action, place
        if command not in ANSWERED:
            self._note(when, action, place, sums)
        if command in (WRITE, IOCTL) and (not place or place.get("share_kind") == "ipc"):
            self._bind(command, place, body, when)

    def _bind(self, command: int, place: dict[str, str], body: bytes, when: int) -> None:
        """Note what a WRITE or an IOCTL binds its pipe to (§2.2.21, §2.2.31), if that is known."""
        start = 0
        if command == WRITE:
            start = int.from_bytes(body[2:4], "little") - HEADER
        elif command == IOCTL and _number(body, 4) == FSCTL_PIPE_TRANSCEIVE:
            start = _number(body, 24) - HEADER
        interface = _interface(body[start : start + BIND]) if start > 0 else ""
        if interface:
            self._note(when, "bind", place, interface=interface)

    def _response(self, command: int, status: int, number: int, tree: int, body: bytes, when: int) -> None:
        if status == PENDING:
            return
        action, place = self._pending.pop(number, (ACTIONS[command], self._shares.get(tree, _NOWHERE)))
        if status >> 30 == 3:
            self._refusal(command, status, action, place, when)
        elif command == NEGOTIATE:
            dialect = _number(body, 4) & 0xFFFF
            self._note(when, action, _NOWHERE, version=DIALECTS.get(dialect) or f"{dialect:04x}", outcome="success")
        elif command == TREE_CONNECT:
            place = _filled({"share_kind": SHARE_TYPES.get(_number(body, 2) & 0xFF, "")}) | place
            self._mount(tree, place)
            self._note(when, action, place, outcome="success")
        elif command == CREATE:
            if action == "create" and _number(body, 4) == 1:  # FILE_OPENED
                action = "open"
            self._note(when, action, place, outcome="success")
        elif command == SESSION_SETUP:
            self._note(when, action, place, outcome="success")
        elif command == READ:
            self._note(when, action, place, {"size": _number(body, 4)})

    def _refusal(self, command: int, status: int, action: str, place: dict[str, str], when: int) -> None:
        code = f"{status:08X}"
        if command == SESSION_SETUP:
            if status != MORE_PROCESSING:
                self._note(when, action, place, status=code, outcome="failure")
        elif status in TOLD or command in (NEGOTIATE, TREE_CONNECT):
            self._note(when, action, place, status=code, outcome="failure")
        elif command == CREATE:
            self._note(when, action, place, outcome="failure")

    def _mount(self, tree: int, place: dict[str, str]) -> None:
        if len(self._shares) >= MOST_SHARES:
            self._shares.pop(next(iter(self._shares)))
        self._shares[tree] = place

    def _smb1(self, message: bytes, when: int) -> bool:
        """Note that SMB1 is offered alone, or chosen (MS-CIFS §2.2.4.52); whether SMB1 it stays."""
        negotiates = message[8:9] == b"\x72"
        answer = bool(message[13:14] and message[13] & 0x80)
        if not answer and b"\x02SMB 2." in message:
            return False
        self._note(
            when, "negotiate" if negotiates else "smb1", _NOWHERE, version="SMB1", outcome="success" if answer else ""
        )
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


def _filled(fields: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in fields.items() if value}


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


def _share(body: bytes) -> dict[str, str]:
    r"""Read a TREE_CONNECT's share from its \\host\share (§2.2.9), and its kind where the name alone tells it."""
    path = _text(body, int.from_bytes(body[4:6], "little") - HEADER, int.from_bytes(body[6:8], "little"))
    share = path.rsplit("\\", 1)[-1]
    name = share.upper()
    kind = ""
    if name == "IPC$":
        kind = "ipc"
    elif name == "ADMIN$" or (len(name) == 2 and name[1] == "$" and "A" <= name[0] <= "Z"):
        kind = "admin"
    return _filled({"share": share, "share_kind": kind})


def _piped(place: dict[str, str], body: bytes) -> dict[str, str]:
    """Add the pipe that a CREATE opens (§2.2.13), where the share has pipes, or is not known and the name tells."""
    if place and place.get("share_kind") != "ipc":
        return place
    pipe = _pipe(body)
    return _filled({**place, "pipe": pipe}) if place or pipe in PIPES else place


def _pipe(body: bytes) -> str:
    """Read a CREATE's name, and tell it in a word of the closed lists."""
    name = _text(body, int.from_bytes(body[44:46], "little") - HEADER, int.from_bytes(body[46:48], "little"))
    name = name.lower().removeprefix("\\")
    if name in PIPES:
        return name
    for program in PROGRAM_PIPES:
        if name.startswith(program):
            return program
    return "other" if name else ""


def _interface(pdu: bytes) -> str:
    """Tell the first known interface among the contexts of a bind or alter_context (C706 §12.6.4.1, §12.6.4.3)."""
    if len(pdu) < 28 or pdu[0] != 5 or pdu[2] not in (11, 14) or not pdu[4] & 0x10:
        return ""
    at = 28
    for _ in range(min(pdu[24], MOST_CONTEXTS)):
        if len(pdu) < at + 24:
            break
        name = INTERFACES.get(pdu[at + 4 : at + 20])
        if name:
            return name
        at += 24 + 20 * pdu[at + 2]
    return ""


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
