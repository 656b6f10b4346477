from __future__ import annotations

import random
import shutil
import struct
import subprocess
from pathlib import Path
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.protocol import DONE, FOREIGN, Fact
from agent.protocols import PARSERS
from agent.protocols.smb2 import DIALECTS, Smb2
from nigrani.stream.events.session import NetworkSession

FIELDS = {field.name for field in msgspec.structs.fields(NetworkSession)}
DENIED, PENDING, NOT_FOUND, LOGON_FAILURE = 0xC0000022, 0x103, 0xC0000034, 0xC000006D
IMAGES = 7
"""The tree id of the share that the tests mount."""


def command(
    code: int, body: bytes, *, answer: bool = False, status: int = 0, number: int = 1, tree: int = IMAGES, flags: int = 0
) -> bytes:
    flags |= int(answer)
    return struct.pack("<4sHHIHHIIQIIQ16s", b"\xfeSMB", 64, 1, status, code, 1, flags, 0, number, 0, tree, 9, b"") + body


def packet(*commands: bytes) -> bytes:
    """Compound (MS-SMB2 §3.2.4.1.4) and put the direct TCP header in front (§2.1)."""
    padded = [one + bytes(-len(one) % 8) for one in commands[:-1]]
    linked = [one[:20] + struct.pack("<I", len(one)) + one[24:] for one in padded]
    body = b"".join([*linked, commands[-1]])
    return struct.pack(">I", len(body)) + body


def tree_connect(path: str, number: int = 1) -> bytes:
    encoded = path.encode("utf-16-le")
    return command(3, struct.pack("<HHHH", 9, 0, 72, len(encoded)) + encoded, tree=0, number=number)


def create(disposition: int, options: int = 0, *, number: int = 1, tree: int = IMAGES, flags: int = 0) -> bytes:
    head = struct.pack("<HBBIQQIIIIIHHII", 57, 0, 0, 2, 0, 0, 0x12019F, 0, 7, disposition, options, 120, 8, 0, 0)
    return command(5, head + "name".encode("utf-16-le"), number=number, tree=tree, flags=flags)


def created(action: int = 1, *, status: int = 0, number: int = 1) -> bytes:
    return command(5, struct.pack("<HBBI", 89, 0, 0, action) + bytes(80), answer=True, status=status, number=number)


def write(size: int, *, number: int = 1) -> bytes:
    return command(9, struct.pack("<HHIQQQIIHHI", 49, 112, size, 0, 1, 1, 0, 0, 0, 0, 0) + bytes(size), number=number)


def read_answer(size: int, *, number: int = 1) -> bytes:
    return command(8, struct.pack("<HBBIII", 17, 80, 0, size, 0, 0) + bytes(size), answer=True, number=number)


def set_info(kind: int, class_: int, value: bytes, *, number: int = 1) -> bytes:
    body = struct.pack("<HBBIHHI16s", 33, kind, class_, len(value), 96, 0, 0, bytes(16)) + value
    return command(17, body, number=number)


def negotiated(dialect: int) -> bytes:
    return command(0, struct.pack("<HHH", 65, 1, dialect) + bytes(60), answer=True, tree=0)


def ntlm(user: str) -> bytes:
    encoded = user.encode("utf-16-le")
    lengths = [struct.pack("<HHI", 0, 0, 64)] * 3 + [struct.pack("<HHI", len(encoded), len(encoded), 64)]
    token = b"NTLMSSP\0\3\0\0\0" + b"".join(lengths) + bytes(20) + encoded
    return command(1, struct.pack("<HBBIIHHQ", 25, 0, 1, 1, 0, 88, len(token), 0) + token, tree=0)


def plain(code: int, *, number: int = 1, flags: int = 0) -> bytes:
    return command(code, bytes(32), number=number, flags=flags)


def refused(code: int, status: int, *, number: int = 1, tree: int = IMAGES, flags: int = 0) -> bytes:
    return command(code, b"\x09\0" + bytes(7), answer=True, status=status, number=number, tree=tree, flags=flags)


MOUNT = ((0, packet(tree_connect(r"\\pacs-1\images"))), (1, packet(command(3, bytes(16), answer=True))))
MOUNTED = {"action": "tree_connect", "share": "images", "outcome": "success"}


def feed(parser: Smb2, direction: int, pieces: list[bytes]) -> int:
    """As the meter does it: what the parser does not want is left out."""
    skip = 0
    for piece in pieces:
        if skip >= len(piece):
            skip -= len(piece)
            continue
        skip = parser.data(direction, piece[skip:], len(piece) - skip, 1)
        if skip == DONE:
            break
    return skip


def rows(facts: list[Fact]) -> list[dict[str, object]]:
    told = [{**fact.fields, **(fact.sums or {}), "count": fact.count} for fact in facts]
    for fact in told:
        assert fact.pop("protocol") == "smb2"
        if fact["count"] == 1:
            del fact["count"]
        assert (FIELDS | {"count"}).issuperset(fact)
    return told


def told(*pieces: tuple[int, bytes]) -> list[dict[str, object]]:
    parser = Smb2()
    for direction, payload in pieces:
        if feed(parser, direction, [payload]) == DONE:
            break
    return rows(parser.fresh + parser.cut())


@pytest.mark.parametrize(("code", "version"), [*DIALECTS.items(), (0x0999, "0999")])
def test_dialects(code: int, version: str) -> None:
    request = packet(command(0, bytes(36), tree=0))
    assert told((0, request), (1, packet(negotiated(code)))) == [
        {"action": "negotiate", "version": version, "outcome": "success"}
    ]


def test_session_setup() -> None:
    more = packet(refused(1, 0xC0000016, tree=0))
    accepted = packet(command(1, bytes(9), answer=True, tree=0))
    assert told((0, packet(ntlm("icu-7"))), (1, more), (0, packet(ntlm("icu-7"))), (1, accepted)) == [
        {"action": "session_setup", "user": "icu-7", "outcome": "success"}
    ]
    assert told((0, packet(ntlm("icu-7"))), (1, packet(refused(1, LOGON_FAILURE, tree=0)))) == [
        {"action": "session_setup", "user": "icu-7", "status": "C000006D", "outcome": "failure"}
    ]


@pytest.mark.parametrize(
    ("path", "share"),
    [(r"\\pacs-1\images", "images"), (r"\\10.0.0.4\print$", "print$"), ("images", "images"), (r"\\h\überg", "überg")],
)
def test_shares(path: str, share: str) -> None:
    assert told((0, packet(tree_connect(path))), MOUNT[1]) == [{**MOUNTED, "share": share}]


def mount(path: str, type_: int) -> tuple[tuple[int, bytes], tuple[int, bytes]]:
    """Connect a tree; type_: the share's, as the answer has it (MS-SMB2 §2.2.10)."""
    answer = command(3, struct.pack("<HBB", 16, type_, 0) + bytes(12), answer=True)
    return (0, packet(tree_connect(path))), (1, packet(answer))


@pytest.mark.parametrize(
    ("share", "type_", "kind"),
    [
        ("images", 1, "disk"),
        ("laser", 3, "print"),
        ("IPC$", 2, "ipc"),
        ("ipc$", 0, "ipc"),
        ("ADMIN$", 1, "admin"),
        ("admin$", 1, "admin"),
        ("C$", 1, "admin"),
        ("z$", 1, "admin"),
        ("cc$", 1, "disk"),
        ("1$", 1, "disk"),
        ("$", 1, "disk"),
        ("images", 9, None),
    ],
)
def test_kinds_of_shares(share: str, type_: int, kind: str | None) -> None:
    (row,) = told(*mount(rf"\\h\{share}", type_))
    assert (row["share"], row.get("share_kind")) == (share, kind)


def test_the_kind_of_a_share_goes_with_what_is_done_there() -> None:
    place = {"share": "C$", "share_kind": "admin"}
    pieces = (
        *mount(r"\\h\C$", 1),
        (0, packet(create(2, number=2))),
        (1, packet(created(2, number=2))),
        (0, packet(write(9))),
    )
    assert told(*pieces)[1:] == [
        {"action": "create", **place, "outcome": "success"},
        {"action": "write", **place, "size": 9},
    ]
    assert told(mount(r"\\h\C$", 1)[0], (1, packet(refused(3, DENIED, tree=0)))) == [
        {"action": "tree_connect", **place, "status": "C0000022", "outcome": "failure"}
    ]


def opened(name: str, kept: int = 99) -> bytes:
    """Open a file or pipe of this name, of which the message holds `kept` bytes."""
    text = name.encode("utf-16-le")
    head = struct.pack("<HBBIQQIIIIIHHII", 57, 0, 0, 2, 0, 0, 0x12019F, 0, 7, 1, 0, 120, len(text), 0, 0)
    return command(5, head + text[:kept])


IPC = mount(r"\\h\IPC$", 2)
PIPED = {"share": "IPC$", "share_kind": "ipc"}


@pytest.mark.parametrize(
    ("name", "pipe"),
    [
        ("svcctl", "svcctl"),
        (r"\svcctl", "svcctl"),
        ("FssagentRpc", "fssagentrpc"),
        ("ATSVC", "atsvc"),
        ("PSEXESVC-WARD7-4711-stdin", "psexesvc"),
        ("icu-7.secret", "other"),
        ("svcctl2", "other"),
        ("", None),
    ],
)
def test_pipes(name: str, pipe: str | None) -> None:
    row = told(*IPC, (0, packet(opened(name))), (1, packet(created())))[1]
    assert row == {"action": "open", **PIPED, "outcome": "success"} | ({"pipe": pipe} if pipe else {})


def test_a_pipe_that_is_refused() -> None:
    row = told(*IPC, (0, packet(opened("svcctl"))), (1, packet(refused(5, DENIED))))[1]
    assert row == {"action": "open", **PIPED, "pipe": "svcctl", "status": "C0000022", "outcome": "failure"}


def test_a_files_name_is_never_told() -> None:
    for pieces in (mount(r"\\h\images", 1), mount(r"\\h\C$", 1)):
        assert "pipe" not in told(*pieces, (0, packet(opened("svcctl"))), (1, packet(created())))[1]


def test_a_pipes_name_that_is_not_there_in_full_is_not_told() -> None:
    assert "pipe" not in told(*IPC, (0, packet(opened("svcctl", kept=8))), (1, packet(created())))[1]


def rpc(*interfaces: str, kind: int = 11, transfers: int = 1, order: int = 0x10) -> bytes:
    """A bind (C706 §12.6.4.3) of the contexts of these interfaces, each with so many transfer syntaxes."""
    contexts = b"".join(
        struct.pack("<HBB16sI", at, transfers, 0, UUID(one).bytes_le, 2) + transfers * (NDR + struct.pack("<I", 2))
        for at, one in enumerate(interfaces)
    )
    size = 28 + len(contexts)
    head = struct.pack("<BBBBIHHI", 5, 0, kind, 3, order, size, 0, 1)
    return head + struct.pack("<HHIBBH", 4280, 4280, 0, len(interfaces), 0, 0) + contexts


NDR = UUID("8a885d04-1ceb-11c9-9fe8-08002b104860").bytes_le
SVCCTL, SHADOW, STRANGE = (
    "367abb81-9844-35f1-ad32-98f038001003",
    "a8e0653c-2744-4389-a61d-7373df8b2292",
    "00000000-1111-2222-3333-444444444444",
)


def written(payload: bytes) -> bytes:
    return packet(command(9, struct.pack("<HHIQQQIIHHI", 49, 112, len(payload), 0, 1, 1, 0, 0, 0, 0, 0) + payload))


def transceived(payload: bytes, control: int = 0x0011C017) -> bytes:
    head = struct.pack("<HHIQQIIIIIIII", 57, 0, control, 1, 1, 120, len(payload), 0, 120, 0, 1024, 1, 0)
    return packet(command(11, head + payload))


@pytest.mark.parametrize(
    ("payload", "interface"),
    [
        (rpc(SVCCTL), "svcctl"),
        (rpc(SHADOW, kind=14), "FileServerVssAgent"),
        (rpc(STRANGE, SHADOW, transfers=3), "FileServerVssAgent"),
        (rpc(STRANGE), None),
        (rpc(*8 * [STRANGE], SVCCTL), None),
        (rpc(SVCCTL, kind=0), None),
        (rpc(SVCCTL, order=0), None),
        (rpc(SVCCTL)[:51], None),
        (rpc(SVCCTL)[:20], None),
        (b"", None),
    ],
)
def test_binds(payload: bytes, interface: str | None) -> None:
    for request, action in ((written(payload), "write"), (transceived(payload), "ioctl")):
        rest = told(*IPC, (0, request))[1:]
        assert rest[0]["action"] == action
        assert rest[1:] == ([{"action": "bind", **PIPED, "interface": interface}] if interface else [])


AT_OPENED = bytes.fromhex(
    "00000082fe534d4240000100000000000500010000000000000000000a00000000000000fffe000001000000610000000004000000000000"
    "0000000000000000000000003900000002000000000000000000000000000000000000009f01120000000000070000000100000040004200"
    "78000a00000000000000000061007400730076006300"
)
AT_ANSWERED = bytes.fromhex(
    "00000098fe534d4240000100000000000500010001000000000000000a00000000000000fffe000001000000610000000004000000000000"
    "0000000000000000000000005900000001000000000000000000000000000000000000000000000000000000000000000000000000100000"
    "00000000000000000000000080000000730076004d0000000000000005000000ffffffff0000000000000000"
)
AT_BOUND = bytes.fromhex(
    "00000110fe534d4240000100000000000900010000000000000000000c00000000000000fffe000001000000610000000004000000000000"
    "00000000000000000000000031007000a000000000000000000000004d0000000000000005000000ffffffff000000000000000000000000"
    "0000000005000b0310000000a000000002000000b810b8100000000003000000000001008206f71f510ae830076d740be8cee98b01000000"
    "045d888aeb1cc9119fe808002b10486002000000010001008206f71f510ae830076d740be8cee98b0100000033057171babe37498319b5db"
    "ef9ccc3601000000020001008206f71f510ae830076d740be8cee98b010000002c1cb76c12984045030000000000000001000000"
)
"""What Windows sends to open and bind the scheduler's pipe, in a capture that begins after the tree connect."""


def test_pipes_of_a_conversation_met_later_are_told_by_known_names_alone() -> None:
    assert told((0, AT_OPENED), (1, AT_ANSWERED), (0, AT_BOUND)) == [
        {"action": "open", "pipe": "atsvc", "outcome": "success"},
        {"action": "write", "size": 160},
        {"action": "bind", "interface": "atsvc"},
    ]
    for name in ("icu-7.secret", "remcom.txt"):
        assert told((0, packet(opened(name))), (1, packet(created()))) == [{"action": "open", "outcome": "success"}]


def test_what_is_no_pipe_is_not_bound() -> None:
    assert len(told(*mount(r"\\h\images", 1), (0, written(rpc(SVCCTL))))) == 2
    assert len(told(*IPC, (0, transceived(rpc(SVCCTL), control=0x00060194)))) == 2


def test_a_share_that_is_not_there() -> None:
    assert told(MOUNT[0], (1, packet(refused(3, 0xC00000CC, tree=0)))) == [
        {"action": "tree_connect", "share": "images", "status": "C00000CC", "outcome": "failure"}
    ]


@pytest.mark.parametrize(
    ("disposition", "options", "did", "action"),
    [
        (1, 0, 1, "open"),
        (2, 0, 2, "create"),
        (3, 0, 1, "open"),
        (3, 0, 2, "create"),
        (5, 0, 3, "create"),
        (0, 0, 0, "create"),
        (1, 0x1000, 1, "delete"),
    ],
)
def test_creates(disposition: int, options: int, did: int, action: str) -> None:
    request, answer = packet(create(disposition, options)), packet(created(did))
    assert told(*MOUNT, (0, request), (1, answer)) == [
        MOUNTED,
        {"action": action, "share": "images", "outcome": "success"},
    ]


def test_refused_creates() -> None:
    request = packet(create(2))
    assert told(*MOUNT, (0, request), (1, packet(refused(5, DENIED))))[1] == {
        "action": "create",
        "share": "images",
        "status": "C0000022",
        "outcome": "failure",
    }
    assert told(*MOUNT, (0, request), (1, packet(refused(5, NOT_FOUND))))[1] == {
        "action": "create",
        "share": "images",
        "outcome": "failure",
    }


@pytest.mark.parametrize(
    ("kind", "class_", "value", "action"),
    [
        (1, 10, bytes(40), "rename"),
        (1, 65, bytes(40), "rename"),
        (1, 13, b"\1", "delete"),
        (1, 13, b"\0", "set_info"),
        (1, 64, b"\3\0\0\0", "delete"),
        (1, 20, bytes(8), "set_info"),
        (3, 0, bytes(40), "set_info"),
    ],
)
def test_changes(kind: int, class_: int, value: bytes, action: str) -> None:
    assert told(*MOUNT, (0, packet(set_info(kind, class_, value))))[1:] == [{"action": action, "share": "images"}]


def test_a_refused_rename_is_told_as_such() -> None:
    request, answer = packet(set_info(1, 10, bytes(40), number=5)), packet(refused(17, DENIED, number=5))
    assert told(*MOUNT, (0, request), (1, answer))[2] == {
        "action": "rename",
        "share": "images",
        "status": "C0000022",
        "outcome": "failure",
    }


def test_bytes_read_and_written_are_summed() -> None:
    request = packet(command(8, bytes(49)))
    pieces = [(0, packet(write(size))) for size in (100, 200, 300)]
    pieces += [(0, request), (1, packet(read_answer(40))), (0, request), (1, packet(read_answer(50)))]
    assert told(*MOUNT, *pieces)[1:] == [
        {"action": "write", "share": "images", "size": 100},
        {"action": "read", "share": "images", "size": 40},
        {"action": "write", "share": "images", "size": 500, "count": 2},
        {"action": "read", "share": "images", "size": 50},
    ]


@pytest.mark.parametrize(("code", "action"), [(6, "close"), (11, "ioctl"), (14, "query_directory")])
def test_other_commands(code: int, action: str) -> None:
    assert told(*MOUNT, (0, packet(plain(code))))[1:] == [{"action": action, "share": "images"}]
    assert told(*MOUNT, (0, packet(plain(13)))) == [MOUNTED]


def test_compounded_and_related_commands() -> None:
    related = command(14, bytes(33), tree=0xFFFFFFFF, number=2, flags=4)
    closed = command(6, bytes(24), tree=0xFFFFFFFF, number=3, flags=4)
    answer = packet(created(number=1), command(14, bytes(20), answer=True, number=2), plain(6, number=3, flags=1))
    assert told(*MOUNT, (0, packet(create(1), related, closed)), (1, answer))[1:] == [
        {"action": "query_directory", "share": "images"},
        {"action": "close", "share": "images"},
        {"action": "open", "share": "images", "outcome": "success"},
    ]


def test_a_pending_answer_is_waited_for() -> None:
    pending = packet(refused(5, PENDING, tree=0, flags=2))
    done = packet(command(5, struct.pack("<HBBI", 89, 0, 0, 1) + bytes(80), answer=True, tree=0, flags=2))
    assert told(*MOUNT, (0, packet(create(1))), (1, pending), (1, done))[1:] == [
        {"action": "open", "share": "images", "outcome": "success"}
    ]


def test_encryption_is_told_once() -> None:
    sealed = struct.pack(">I", 100) + b"\xfdSMB" + bytes(96)
    assert told((0, sealed), (1, sealed), (0, sealed)) == [{"action": "encrypted"}]
    packed = struct.pack(">I", 100) + b"\xfcSMB" + bytes(96)
    assert told((0, packed), (0, packed)) == [{"action": "compressed"}]


def smb1(command_: int, flags: int, tail: bytes) -> bytes:
    body = b"\xffSMB" + bytes((command_, 0, 0, 0, 0, flags)) + bytes(22) + tail
    return struct.pack(">I", len(body)) + body


OLD_OFFER = smb1(0x72, 0x18, b"\0\x0c\0\x02NT LM 0.12\0")
BOTH_OFFER = smb1(0x72, 0x18, b"\0\x18\0\x02SMB 2.002\0\x02SMB 2.???\0")


def test_smb1() -> None:
    parser = Smb2()
    assert feed(parser, 0, [OLD_OFFER]) == 0
    assert feed(parser, 1, [smb1(0x72, 0x98, b"\x11\0\0")]) == DONE
    assert rows(parser.fresh) == [
        {"action": "negotiate", "version": "SMB1"},
        {"action": "negotiate", "version": "SMB1", "outcome": "success"},
    ]
    assert told((0, smb1(0x25, 0x18, b""))) == [{"action": "smb1", "version": "SMB1"}]


def test_an_offer_of_both_is_not_smb1() -> None:
    assert told((0, BOTH_OFFER), (1, packet(negotiated(0x02FF)))) == [
        {"action": "negotiate", "version": "2.FF", "outcome": "success"}
    ]


def test_large_bodies_are_skipped() -> None:
    whole = packet(write(1_000_000))
    parser = Smb2()
    assert parser.data(0, whole[:3000], 3000, 1) == len(whole) - 3000
    assert rows(parser.fresh) == [{"action": "write", "size": 1_000_000}]


def test_shares_and_pending_are_bounded() -> None:
    parser = Smb2()
    for tree in range(1, 100):
        feed(parser, 0, [packet(tree_connect(rf"\\h\s{tree}", number=tree))])
        feed(parser, 1, [packet(command(3, bytes(16), answer=True, number=tree, tree=tree))])
        feed(parser, 0, [packet(create(1, number=1000 + tree))])
    assert (len(parser._shares), len(parser._pending)) == (16, 64)
    assert parser.overflow > 0


def test_keep_alives_are_passed_over() -> None:
    assert told(MOUNT[0], (0, b"\x85\0\0\0"), MOUNT[1], (1, b"\x85\0\0\0")) == [MOUNTED]


CONVERSATION = (
    *MOUNT,
    *IPC,
    (0, packet(opened("svcctl")) + written(rpc(SVCCTL)) + transceived(rpc(STRANGE, SHADOW))),
    *MOUNT,
    (0, packet(create(2, number=2), plain(14, number=3)) + packet(write(2500, number=4)) + packet(plain(6, number=5))),
    (1, packet(created(2, number=2)) + packet(read_answer(3000, number=6)) + packet(refused(9, DENIED, number=4))),
)


def test_split_anywhere_tells_the_same() -> None:
    whole = told(*CONVERSATION)
    assert len(whole) == 13
    for at in range(1, max(len(payload) for _, payload in CONVERSATION)):
        parser = Smb2()
        for direction, payload in CONVERSATION:
            feed(parser, direction, [part for part in (payload[:at], payload[at:]) if part])
        assert rows(parser.fresh + parser.cut()) == whole, at


def test_byte_by_byte_tells_the_same() -> None:
    parser = Smb2()
    for direction, payload in CONVERSATION:
        feed(parser, direction, [payload[at : at + 1] for at in range(len(payload))])
    assert rows(parser.fresh + parser.cut()) == told(*CONVERSATION)


def test_snap_length() -> None:
    parser = Smb2()
    skip = 0
    for part in (packet(write(900)), packet(write(3000)), packet(plain(6), plain(14)), packet(set_info(1, 10, bytes(200)))):
        for begin in range(0, len(part), 1400):
            segment = part[begin : begin + 1400]
            if skip < len(segment):
                skip = parser.data(0, segment[skip:202], len(segment) - skip, 1)
            else:
                skip -= len(segment)
    assert rows(parser.fresh + parser.cut()) == [
        {"action": "write", "size": 900},
        {"action": "close"},
        {"action": "query_directory"},
        {"action": "rename"},
        {"action": "write", "size": 3000},
    ]


def test_snap_length_of_a_segment_of_many_messages() -> None:
    parser = Smb2()
    one = packet(plain(11))
    assert parser.data(0, (9 * one)[:202], 9 * len(one), 1) == 0
    assert parser.data(0, one, len(one), 1) == 0
    assert rows(parser.fresh + parser.cut()) == [{"action": "ioctl"}, {"action": "ioctl", "count": 2}]


def test_after_a_gap_the_next_message_counts() -> None:
    parser = Smb2()
    feed(parser, 0, [packet(write(900))[:300]])
    parser.gap(0)
    feed(parser, 0, [bytes(500), packet(plain(6))])
    assert rows(parser.fresh) == [{"action": "close"}]


def test_what_is_no_message_ends_it() -> None:
    parser = Smb2()
    assert feed(parser, 0, [packet(plain(6))]) == 0
    assert parser.data(0, packet(plain(6)) + b"\xaa" * 100, 400, 1) == FOREIGN
    assert rows([*parser.fresh, *parser.cut()]) == [{"action": "close"}]


def test_a_conversation_may_be_met_in_the_middle_of_a_body() -> None:
    parser = Smb2()
    assert feed(parser, 0, [packet(plain(6))]) == 0
    assert feed(parser, 1, [b"\xaa" * 1400, b"\xbb" * 900, packet(read_answer(10))]) == 0
    assert [fact["action"] for fact in rows(parser.fresh)] == ["close", "read"]


SEALED = struct.pack(">I", 100) + b"\xfdSMB" + bytes(96)


@pytest.mark.parametrize("payload", [MOUNT[0][1], MOUNT[1][1], OLD_OFFER, BOTH_OFFER, SEALED, packet(write(900))[:76]])
def test_no_other_protocol_claims_it(payload: bytes) -> None:
    for port in (445, 139, 53, 1883, 3389, 104):
        assert [one.name for one in PARSERS if one.looks_like(payload, 40000, port)] == ["smb2"]


def test_random_bytes_are_not_smb() -> None:
    source = random.Random(7)
    assert not any(Smb2.looks_like(b"\0" + source.randbytes(80), 40000, 445) for _ in range(20_000))


@given(st.lists(st.tuples(st.integers(0, 1), st.binary(min_size=1, max_size=300), st.integers(0, 99)), max_size=6))
@settings(max_examples=200, deadline=None)
def test_random_bytes_give_facts_or_value_error(taken: list[tuple[int, bytes, int]]) -> None:
    heads = (b"", packet(ntlm("x"))[:68], MOUNT[0][1][:80], packet(set_info(1, 13, b""))[:80], OLD_OFFER[:20])
    survive([(side, heads[missing % 5] + junk, missing) for side, junk, missing in taken])


@given(st.integers(0, 3000), st.binary(max_size=8), st.integers(1, 4000), st.integers(1, 400))
@settings(max_examples=300, deadline=None)
def test_mutated_messages_give_facts_or_value_error(at: int, put: bytes, end: int, cut: int) -> None:
    for side, whole in CONVERSATION:
        mutated = (whole[: at % len(whole)] + put + whole[at % len(whole) + len(put) :])[:end]
        survive([(side, mutated[:cut], 0), (side, mutated[cut:] or b"\0", 5), (1 - side, mutated, 0)])


def survive(taken: list[tuple[int, bytes, int]]) -> None:
    parser = Smb2()
    try:
        for direction, payload, missing in taken:
            Smb2.looks_like(payload, 1, 2)
            if parser.data(direction, payload, len(payload) + missing, 1) == DONE:
                break
    except ValueError:
        pass
    rows(parser.fresh + parser.cut())


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_tshark_reads_the_same(tmp_path: Path) -> None:
    sent = [packet(tree_connect(r"\\h\images")), packet(create(2), plain(6)), packet(create(1, 0x1000)), packet(write(99))]
    sent += [packet(set_info(1, 10, bytes(40))), packet(set_info(1, 13, b"\1"))]
    sent += [packet(opened("svcctl")), written(rpc(SVCCTL)), transceived(rpc(STRANGE, SHADOW))]
    capture = str(tmp_path / "smb2.pcap")
    dump = "".join(f"000000 {one.hex(' ')}\n" for one in sent)
    subprocess.run(["text2pcap", "-q", "-T", "40000,445", "-", capture], input=dump, text=True, check=True, timeout=30)
    names = ("cmd", "create.disposition", "write_length", "file_info.infolevel", "tree", "filename", "ioctl.function")
    wanted = [word for name in names for word in ("-e", f"smb2.{name}")]
    arguments = ["tshark", "-r", capture, "-T", "fields", *wanted]
    lines = subprocess.run(arguments, capture_output=True, text=True, check=True, timeout=30).stdout.splitlines()
    read = [dict(zip(names, line.split("\t"), strict=True)) for line in lines]
    assert [one["cmd"] for one in read] == ["3", "5,6", "5", "9", "17", "17", "5", "9", "11"]
    assert read[0]["tree"].rsplit("\\", 1)[-1] == "images"
    assert [one["create.disposition"] for one in read[1:3]] == ["2", "1"]
    assert read[3]["write_length"] == "99"
    assert [int(one["file_info.infolevel"], 0) for one in read[4:6]] == [10, 13]
    assert read[6]["filename"] == "svcctl"
    assert read[7]["write_length"] == str(len(rpc(SVCCTL)))
    assert int(read[8]["ioctl.function"], 0) == 0x0011C017
