from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest
from nacl.public import PrivateKey, SealedBox

from agent.opener import Found, Opener, escaped, read_key, shown
from agent.privacy import Tokens
from agent.sealed import MAGIC, Entry, files, pack, plain
from agent.sealer import Sealer
from nigrani.service.errors import Problem

PRIVATE = PrivateKey(bytes(range(32)))
SITE = Tokens(b"k" * 32)
VALUES = {
    ("ip", bytes([10, 0, 0, 1])): "10.0.0.1",
    ("ip", bytes.fromhex("20010db8000000000000000000000001")): "2001:db8::1",
    ("ip", b"host"): "104.111.115.116 (or the text host)",
    ("ip", b"pacs-3"): "pacs-3",
    ("mac", bytes.fromhex("02aabbccddee")): "02:aa:bb:cc:dd:ee",
    ("user", "राव".encode()): "राव",
    ("study", b"1.2.840\x1b[2J\n\xff"): "1.2.840\\x1b[2J\\n\\\\xff",
    ("name", "a\u202eb\\n".encode()): "a\\u202eb\\\\n",
}


def kept(folder: Path, tokens: Tokens = SITE, private: PrivateKey = PRIVATE) -> None:
    sealer = Sealer(folder, bytes(private.public_key), 1 << 20)
    for kind, value in VALUES:
        sealer.note(kind, bytes.fromhex(tokens.of(kind, value).partition(":")[2]), value)
        sealer.turn()
    sealer.close()


def find(folder: Path, wanted: list[str], private: PrivateKey = PRIVATE) -> Found:
    return Opener(folder, bytes(private), SITE).find(wanted)


def test_every_kind_of_value_is_shown_without_harm(tmp_path: Path) -> None:
    kept(tmp_path)
    found = find(tmp_path, [SITE.of(kind, value) for kind, value in VALUES])
    assert {one.token: one.value for one in found.meanings} == {SITE.of(*one): text for one, text in VALUES.items()}
    assert all(one.proven and one.value.isprintable() for one in found.meanings)
    assert (found.foreign, found.broken) == (0, 0)


def test_only_boxes_with_a_wanted_token_are_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept(tmp_path)
    opened = []
    decrypt = SealedBox.decrypt
    monkeypatch.setattr(SealedBox, "decrypt", lambda box, content: opened.append(1) or decrypt(box, content))
    token = SITE.of("mac", bytes.fromhex("02aabbccddee"))
    assert [one.token for one in find(tmp_path, [token, "ip:0000000000000000"]).meanings] == [token]
    assert len(opened) == 1


def test_the_kind_is_part_of_a_token(tmp_path: Path) -> None:
    kept(tmp_path)
    digits = SITE.of("mac", bytes.fromhex("02aabbccddee")).partition(":")[2]
    assert find(tmp_path, [f"user:{digits}"]).meanings == []


def test_the_first_sight_of_several_is_told(tmp_path: Path) -> None:
    box = SealedBox(PRIVATE.public_key)
    token = SITE.of("user", b"rao")
    entry = Entry("user", bytes.fromhex(token[5:]), b"rao")
    for number, when in enumerate((3000, 1000, 2000)):
        record = pack([entry.token], box.encrypt(plain(when, [entry])))
        (tmp_path / f"{number:010d}.sealed").write_bytes(MAGIC + bytes(PRIVATE.public_key) + record)
    assert [(one.value, one.first_seen) for one in find(tmp_path, [token]).meanings] == [("rao", 1000)]


def test_what_is_forged_or_of_another_site_key_is_not_proven(tmp_path: Path) -> None:
    """Whoever has the public key can seal; that a value gives its token needs the site's key."""
    box = SealedBox(PRIVATE.public_key)
    token = SITE.of("user", b"rao")
    forged = Entry("user", bytes.fromhex(token[5:]), b"somebody else")
    record = pack([forged.token], box.encrypt(plain(1000, [forged])))
    (tmp_path / "0000000001.sealed").write_bytes(MAGIC + bytes(PRIVATE.public_key) + record)
    assert [(one.value, one.proven) for one in find(tmp_path, [token]).meanings] == [("somebody else", False)]


def test_a_box_that_does_not_open_is_counted(tmp_path: Path) -> None:
    token = SITE.of("user", b"rao")
    record = pack([bytes.fromhex(token[5:])], bytes(100))
    (tmp_path / "0000000001.sealed").write_bytes(MAGIC + bytes(PRIVATE.public_key) + record)
    found = find(tmp_path, [token])
    assert (found.meanings, found.broken) == ([], 1)


def test_another_key_opens_nothing_and_the_keys_are_named(tmp_path: Path) -> None:
    kept(tmp_path)
    token = SITE.of("ip", bytes([10, 0, 0, 1]))
    other = PrivateKey.generate()
    with pytest.raises(Problem, match=bytes(PRIVATE.public_key).hex()[:16]):
        find(tmp_path, [token], other)
    data = files(tmp_path)[0].read_bytes()
    (tmp_path / "0000000001.sealed").write_bytes(MAGIC + bytes(other.public_key) + data[40:])
    assert find(tmp_path, [token]).foreign == 1
    assert find(tmp_path, [token], other).broken == 1


def test_no_map_is_told(tmp_path: Path) -> None:
    with pytest.raises(Problem, match=r"no map of tokens; see --state, and privacy\.map\.key"):
        find(tmp_path, ["ip:0000000000000000"])


def test_a_value_cut_short_is_not_proven(tmp_path: Path) -> None:
    sealer = Sealer(tmp_path, bytes(PRIVATE.public_key), 1 << 20)
    token = SITE.of("name", b"x" * 600)
    sealer.note("name", bytes.fromhex(token[5:]), b"x" * 600)
    sealer.close()
    assert [(len(one.value), one.proven) for one in find(tmp_path, [token]).meanings] == [(512, False)]


def test_escapes_cannot_be_mistaken() -> None:
    assert escaped("a\\n") != escaped("a\n")
    assert shown(Entry("mac", b"", b"ab")) == "ab"


def test_the_private_key_is_read_from_a_closed_file_or_a_pipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "key"
    path.write_text("# remark\n" + "ab" * 32 + "\n")
    path.chmod(0o600)
    assert read_key(path) == b"\xab" * 32
    path.chmod(0o640)
    with pytest.raises(Problem, match="can be read by others; chmod 600"):
        read_key(path)
    monkeypatch.setattr(sys, "stdin", io.StringIO("cd" * 32))
    assert read_key(Path("-")) == b"\xcd" * 32
    path.chmod(0o600)
    path.write_bytes(os.urandom(5000))
    with pytest.raises(Problem, match="no line of 64 hexadecimal digits"):
        read_key(path)
    with pytest.raises(Problem, match="No such file"):
        read_key(tmp_path / "none")
