from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import msgspec
import pytest

from agent.privacy import Privacy
from agent.protocol import Fact
from agent.source import State
from agent.sources.integrity import ENTRIES, LEAST, SINGLY, TURN, FolderWatch
from agent.sources.settings import Folder
from nigrani.stream.codec import encode
from tests.agent.sources.test_signature import Ssh, run


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


def put(path: Path, content: bytes = b"x", second: int = 1_000) -> Path:
    """Write a file that settled long ago; the change time cannot be set, so tests look with a later clock."""
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_bytes(content)
    os.utime(path, (second, second))
    return path


def watch(folder: Path, clock: Clock, state: State | None = None, **more: object) -> FolderWatch:
    return FolderWatch(Folder(str(folder), **more), state, clock)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour from now, so that everything written has settled."""
    real = __import__("time").time
    monkeypatch.setattr("agent.sources.integrity.time.time", lambda: real() + 3600)


def look(one: FolderWatch, clock: Clock) -> list[Fact]:
    clock.now += 61
    looks = one.counters["looks"]
    facts = one.read()
    while one.counters["looks"] == looks or one._queue or one._hashing:
        clock.now += 1
        facts += one.read()
    return facts + one.read()


def told(facts: list[Fact]) -> list[tuple[object, ...]]:
    return [
        (fact.fields["action"], Path(str(fact.fields.get("path", ""))).name, fact.fields.get("manifest")) for fact in facts
    ]


def test_what_is_there_at_first_is_the_baseline(folder: Path, clock: Clock) -> None:
    put(folder / "chest" / "1" / "model.onnx")
    one = watch(folder, clock)
    assert look(one, clock) == []
    assert look(one, clock) == []
    assert (one.counters["looks"], one.counters["files"], one.counters["hashed_bytes"]) == (2, 1, 1)


def test_files_that_come_change_and_go(folder: Path, clock: Clock) -> None:
    one = watch(folder, clock)
    look(one, clock)
    path = put(folder / "chest" / "1" / "model.onnx", b"x")
    (fact,) = look(one, clock)
    assert fact.dataset == "ai.model_access"
    assert fact.fields == {
        "action": "created", "provider": "integrity", "kind": "model", "path": str(path), "place": fact.fields["place"],
        "extension": "onnx", "model": "chest", "size": 1, "owner": fact.fields["owner"],
        "writable": fact.fields["writable"], "sha256": hashlib.sha256(b"x").hexdigest(), "manifest": "",
        "signature": "",
    }  # fmt: skip
    put(path, b"y")  # of the same size and time
    assert told(look(one, clock)) == [("changed", "model.onnx", "")]
    os.utime(path)
    assert look(one, clock) == []
    path.chmod(0o666)
    assert told(look(one, clock)) == [("owner", "model.onnx", "")]
    path.unlink()
    assert told(look(one, clock)) == [("removed", "model.onnx", "")]
    assert look(one, clock) == []


def test_a_link_that_points_elsewhere_is_a_change(folder: Path, clock: Clock) -> None:
    link = folder / "current"
    link.symlink_to("model-1")
    one = watch(folder, clock)
    look(one, clock)
    link.unlink()
    link.symlink_to("model-2")
    assert told(look(one, clock)) == [("changed", "current", "")]


def test_a_manifest(folder: Path, clock: Clock) -> None:
    good, bad = put(folder / "good.onnx"), put(folder / "bad.onnx", b"evil")
    digest = hashlib.sha256(b"x").hexdigest()
    manifest = put(folder / "SHA256SUMS", f"{digest}  good.onnx\n{digest}  bad.onnx\n{digest}  gone.onnx\n".encode())
    put(folder / "new.onnx")
    one = watch(folder, clock)
    assert sorted(told(look(one, clock))) == [
        ("present", "bad.onnx", "differs"), ("present", "new.onnx", "unlisted"), ("removed", "gone.onnx", "missing"),
    ]  # fmt: skip
    assert look(one, clock) == []
    put(bad, b"x")
    assert told(look(one, clock)) == [("changed", "bad.onnx", "listed")]
    put(manifest, f"{digest}  bad.onnx\n".encode(), 2_000)
    assert sorted(told(look(one, clock)), key=str) == [
        ("changed", "SHA256SUMS", ""), ("present", "good.onnx", "unlisted"),
    ]  # fmt: skip
    good.unlink()
    bad.unlink()
    manifest.unlink()
    assert ("changed", "SHA256SUMS", "missing") in told(look(one, clock))


def again(one: FolderWatch, clock: Clock, **more: object) -> FolderWatch:
    """The agent was killed right after what it told was on the bus."""
    return watch(Path(one._settings.path), clock, json.loads(msgspec.json.encode(one.state())), **more)


@pytest.mark.parametrize("limit", [1, 2, 500])
def test_killed_after_any_fact_nothing_is_told_twice_and_nothing_is_lost(folder: Path, clock: Clock, limit: int) -> None:
    digest = hashlib.sha256(b"x").hexdigest()
    put(folder / "SHA256SUMS", "".join(f"{digest}  {name}.onnx\n" for name in ("good", "bad", "gone", "other")).encode())
    for name in ("good", "new", "extra"):
        put(folder / f"{name}.onnx")
    put(folder / "bad.onnx", b"evil")
    facts: list[Fact] = []
    one = watch(folder, clock)
    for turn in range(60):
        if turn == 30:
            (folder / "new.onnx").unlink()
            put(folder / "bad.onnx", b"worse")
            put(folder / "late.onnx")
            put(folder / "SHA256SUMS", f"{digest}  extra.onnx\n".encode(), 2_000)
        clock.now += 61
        found = one.read(limit)
        facts += found
        one = again(one, clock) if found else one
    assert sorted(told(facts)) == [
        ("changed", "SHA256SUMS", ""),
        ("changed", "bad.onnx", "unlisted"),
        ("created", "late.onnx", "unlisted"),
        ("present", "bad.onnx", "differs"),
        ("present", "bad.onnx", "unlisted"),
        ("present", "extra.onnx", "unlisted"),
        ("present", "good.onnx", "unlisted"),
        ("present", "new.onnx", "unlisted"),
        ("removed", "gone.onnx", "missing"),
        ("removed", "new.onnx", ""),
        ("removed", "other.onnx", "missing"),
    ]


def test_a_manifest_that_is_changed_while_nobody_looks(folder: Path, clock: Clock) -> None:
    digest = hashlib.sha256(b"x").hexdigest()
    put(folder / "m.onnx")
    manifest = put(folder / "SHA256SUMS", f"{digest}  m.onnx\n".encode())
    one = watch(folder, clock)
    assert look(one, clock) == []
    one = again(one, clock)
    assert look(one, clock) == []
    put(manifest, f"{'0' * 64}  m.onnx\n".encode(), 2_000)
    assert told(look(again(one, clock), clock)) == [("changed", "SHA256SUMS", ""), ("present", "m.onnx", "differs")]


def test_sums_of_a_dataset_survive_a_kill(folder: Path, clock: Clock) -> None:
    one = watch(folder, clock, kind="dataset")
    look(one, clock)
    for number in range(30):
        put(folder / f"{number}.dcm")
    clock.now += 61
    facts = one.read(20)
    one = again(one, clock, kind="dataset")
    facts += look(one, clock)
    totals = [fact.fields["added"] for fact in facts if fact.dataset == "ai.training"]
    assert totals == [30]


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs OpenSSH")
def test_a_signed_manifest(folder: Path, clock: Clock, tmp_path: Path) -> None:
    ssh = Ssh(tmp_path)
    digest = hashlib.sha256(b"x").hexdigest()
    put(folder / "m.onnx")
    manifest = put(folder / "SHA256SUMS", f"{digest}  m.onnx\n".encode())
    one = watch(folder, clock, manifest_key=ssh.key)

    def signed() -> list[tuple[object, ...]]:
        return [(fact.fields["kind"], fact.fields["action"], fact.fields["signature"]) for fact in look(one, clock)]

    def sign(who: str = "vendor") -> None:
        signature = folder / "SHA256SUMS.sig"
        signature.unlink(missing_ok=True)
        run("ssh-keygen", "-q", "-Y", "sign", "-n", "file", "-f", tmp_path / who, manifest)

    assert signed() == [("manifest", "present", "absent")]
    sign()
    assert signed() == [("manifest", "changed", "valid")]
    assert signed() == []
    put(folder / "n.onnx")
    assert signed() == [("model", "created", "valid")]
    put(manifest, f"{digest}  m.onnx\n{digest}  n.onnx\n".encode(), 2_000)
    assert signed() == [("manifest", "changed", "invalid")]
    one = again(one, clock, manifest_key=ssh.key)
    assert signed() == []
    sign("stranger")
    assert signed() == [("manifest", "changed", "unknown-key")]
    one = again(one, clock, manifest_key=str(tmp_path / "gone"))
    assert signed() == [("manifest", "changed", "unchecked")]


def test_changes_of_a_dataset_are_told_as_sums(folder: Path, clock: Clock) -> None:
    for number in range(50):
        put(folder / f"{number}.dcm")
    one = watch(folder, clock, kind="dataset")
    look(one, clock)
    for number in range(40):
        put(folder / f"{number}.dcm", b"poison")
    for number in range(100, 130):
        put(folder / f"{number}.dcm")
    (folder / "49.dcm").unlink()
    facts = look(one, clock)
    (total,) = [fact for fact in facts if fact.dataset == "ai.training"]
    assert total.fields == {
        "action": "dataset-change",
        "provider": "integrity",
        "dataset": str(folder),
        "added": 30,
        "changed": 40,
        "removed": 1,
    }
    single = [fact for fact in facts if fact.dataset == "ai.model_access"]
    assert len(single) == SINGLY
    assert all("sha256" not in fact.fields and "model" not in fact.fields for fact in single)


@pytest.mark.parametrize("after", [0, 1])
def test_a_restart_knows_what_was_there(folder: Path, clock: Clock, after: int) -> None:
    path = put(folder / os.fsdecode(b"\xff.onnx"))
    one = watch(folder, clock)
    look(one, clock)
    assert one.state() is one.state()
    state = json.loads(msgspec.json.encode(one.state()))
    if after:
        put(path, b"changed")
    one = watch(folder, clock, state)
    assert [fact.fields["action"] for fact in look(one, clock)] == ["changed"] * after
    assert one.counters["hashed_bytes"] == len(b"changed") * after


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"files": 1},
        {"files": {"a": 1}},
        {"files": {"a": [1]}},
        {"files": {"a": [1, 2, 3, 4, "", "", "zz"]}},
        {"files": {"\u0900": [1, 2, 3, 4, "", "", ""]}},
    ],
)
def test_a_broken_state_makes_a_new_baseline(folder: Path, clock: Clock, state: State) -> None:
    put(folder / "m.onnx")
    assert look(watch(folder, clock, state), clock) == []


def test_a_file_that_is_being_written_is_waited_for(folder: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    one = watch(folder, clock)
    look(one, clock)
    path = folder / "m.onnx"
    path.write_bytes(b"x")
    monkeypatch.setattr("agent.sources.integrity.time.time", lambda: path.stat().st_ctime + 1)
    assert look(one, clock) == []
    assert one.counters["unsettled"] == 1
    monkeypatch.setattr("agent.sources.integrity.time.time", lambda: path.stat().st_ctime + 3)
    assert told(look(one, clock)) == [("created", "m.onnx", "")]


def test_a_file_from_the_future_is_read(folder: Path, clock: Clock) -> None:
    one = watch(folder, clock)
    look(one, clock)
    put(folder / "m.onnx", second=4_000_000_000)
    assert told(look(one, clock)) == [("created", "m.onnx", "")]


def test_reading_is_bounded_in_each_second_and_each_turn(folder: Path, clock: Clock) -> None:
    put(folder / "big.onnx", bytes(5 * TURN))
    one = watch(folder, clock, bytes_per_second=TURN // 2)
    one.read()
    assert one.counters["hashed_bytes"] == 0
    clock.now += 100
    one.read()
    first = one.counters["hashed_bytes"]
    assert 0 < first <= TURN
    one.read()
    assert one.counters["hashed_bytes"] == first
    clock.now += 1
    one.read()
    assert first < one.counters["hashed_bytes"] <= 2 * TURN
    one.close()


def test_files_are_bounded(folder: Path, clock: Clock) -> None:
    for number in range(ENTRIES + 10):
        put(folder / f"{number}.onnx")
    one = watch(folder, clock, files=10)
    look(one, clock)
    assert one.counters["files"] == 10
    assert one.counters["beyond_bound"] == ENTRIES
    assert LEAST > 0


def test_a_folder_that_cannot_be_read_loses_nothing(folder: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    put(folder / "m.onnx")
    one = watch(folder, clock)
    look(one, clock)
    with monkeypatch.context() as patched:
        patched.setattr("agent.sources.look.os.scandir", lambda _path: (_ for _ in ()).throw(PermissionError()))
        assert look(one, clock) == []
    assert one.counters["unreadable_folders"] == 1
    assert look(one, clock) == []


def test_no_path_leaves_in_clear(folder: Path, clock: Clock) -> None:
    one = watch(folder, clock)
    look(one, clock)
    put(folder / "RAO^ANITA" / "scan.onnx")
    (fact,) = look(one, clock)
    assert fact.fields["model"] == "other"
    event = encode(Privacy(b"k" * 32, agent="a", boot="b").fact(None, fact))
    assert b"ANITA" not in event
    assert str(folder).encode() not in event
