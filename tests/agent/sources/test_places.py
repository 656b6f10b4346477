from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent import service as service_module
from agent.config import AgentConfig, Meter, Privacy
from agent.service import AgentService
from agent.sources import tail
from agent.sources.log_sources import LogSources
from agent.sources.places import Places
from agent.sources.settings import File, Folder, Logs
from nigrani.stream.bus import BusFull
from nigrani.stream.codec import decode
from nigrani.stream.events import AiInference, AiModelAccess
from nigrani.stream.memory import MemoryBus

BEFORE, AFTER = {"offset": 1}, {"offset": 2}


@pytest.fixture
def bus() -> MemoryBus:
    return MemoryBus()


def meant(folder: Path, bus: MemoryBus) -> Places:
    places = Places(folder, bus)
    places.load("a", "/x")
    places.keep("a", BEFORE)
    places.mean("a", BEFORE, AFTER)
    return places


def test_a_place_is_kept_for_what_it_is_of(tmp_path: Path, bus: MemoryBus) -> None:
    places = Places(tmp_path / "state", bus)
    assert places.load("a", "/x") is None
    places.keep("a", BEFORE)
    assert Places(tmp_path / "state", bus).load("a", "/x") == BEFORE
    assert Places(tmp_path / "state", bus).load("a", "/y") is None
    assert Places(tmp_path / "state", bus).load("b", "/x") is None
    assert (tmp_path / "state" / "a.json").stat().st_mode & 0o777 == 0o600


def test_what_was_meant_holds_once_the_bus_has_the_record(tmp_path: Path, bus: MemoryBus) -> None:
    meant(tmp_path, bus)
    assert Places(tmp_path, bus).load("a", "/x") == BEFORE
    bus.publish(b"{}\n", 1)
    assert Places(tmp_path, bus).load("a", "/x") == AFTER


def test_the_place_before_need_not_be_the_durable_one(tmp_path: Path, bus: MemoryBus) -> None:
    places = meant(tmp_path, bus)
    bus.publish(b"{}\n", 1)
    places.mean("a", AFTER, {"offset": 3})
    assert Places(tmp_path, bus).load("a", "/x") == AFTER
    bus.publish(b"{}\n", 1)
    assert Places(tmp_path, bus).load("a", "/x") == {"offset": 3}


def test_what_a_start_saw_to_is_not_asked_again(tmp_path: Path, bus: MemoryBus) -> None:
    """The record that was meant never came, and another one took its number."""
    meant(tmp_path, bus)
    places = Places(tmp_path, bus)
    state = places.load("a", "/x")
    assert state == BEFORE
    places.keep("a", state)
    bus.publish(b"{}\n", 1)
    assert Places(tmp_path, bus).load("a", "/x") == BEFORE


def test_a_bus_that_lost_records_is_read_on_from_the_durable_place(tmp_path: Path, bus: MemoryBus) -> None:
    places = meant(tmp_path, bus)
    bus.publish(b"{}\n", 1)
    places.mean("a", AFTER, {"offset": 3})
    assert Places(tmp_path, MemoryBus()).load("a", "/x") == BEFORE


@pytest.mark.parametrize("content", [b"", b"\0" * 99, b"{", b"[1]", b'{"of": 1}', b"\xff" * 9, b"[" * 99_999])
def test_a_power_cut_in_what_is_meant(
    tmp_path: Path, bus: MemoryBus, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    meant(tmp_path, bus)
    (tmp_path / "a.meant").write_bytes(content)
    bus.publish(b"{}\n", 1)
    assert Places(tmp_path, bus).load("a", "/x") == BEFORE
    assert "it is passed over" in caplog.text


def test_the_same_place_is_not_written_again(tmp_path: Path, bus: MemoryBus) -> None:
    places = meant(tmp_path, bus)
    inode = (tmp_path / "a.json").stat().st_ino
    places.keep("a", dict(BEFORE))
    assert (tmp_path / "a.json").stat().st_ino == inode
    places.keep("a", AFTER)
    assert (tmp_path / "a.json").stat().st_ino != inode


class Killed(BaseException):
    """Stands for SIGKILL: nothing of the agent's own runs after it."""


class Dying(MemoryBus):
    """A bus that outlives the agent, and kills it at the nth thing that can be seen from outside."""

    def __init__(self) -> None:
        super().__init__()
        self.left = -1

    def die(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Killed

    def publish(self, lines: bytes, count: int) -> int:
        self.die()
        offset = super().publish(lines, count)
        self.die()
        return offset

    def events(self) -> list[object]:
        return [decode(line) for batch in self.reader("all").poll(100_000) for line in batch.lines.splitlines()]


def shift(path: Path) -> None:
    """Make room for `.1`."""
    for number in range(len(list(path.parent.glob(f"{path.name}.*"))), 0, -1):
        path.with_name(f"{path.name}.{number}").rename(path.with_name(f"{path.name}.{number + 1}"))


class Host:
    """A host whose agent is killed again and again while its logs grow and are rotated."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bus = Dying()
        self.log, self.copied, self.trace = folder / "renamed.log", folder / "copied.log", folder / "trace.json"
        self.models = folder / "models"
        self.models.mkdir()
        for path in (self.log, self.copied, self.trace):
            path.touch()
        files = {
            "renamed": File(str(self.log), "ai-gateway", beginning=True),
            "copied": File(str(self.copied), "ai-gateway", beginning=True),
            "trace": File(str(self.trace), "triton-trace", beginning=True),
        }
        watched = Folder(str(self.models))
        object.__setattr__(watched, "interval", 0.0)  # at each turn
        logs = Logs(files=files, folders={"models": watched})
        self.config = AgentConfig(logs=logs, privacy=Privacy(key=folder / "site.key"), meter=Meter(64, 16))
        self.numbers = count(1)
        self.service: AgentService | None = None
        monkeypatch.setenv("NIGRANI_STATE", str(folder / "state"))
        write = Places._write

        def dying(places: Places, file: str, kept: object, *, durable: bool) -> None:
            self.bus.die()
            write(places, file, kept, durable=durable)  # type: ignore[arg-type]
            self.bus.die()

        monkeypatch.setattr(Places, "_write", dying)

    def append(self, path: Path, how_many: int) -> None:
        with path.open("a") as file:
            for number in (next(self.numbers) for _ in range(how_many)):
                if path == self.trace:
                    file.write(f'{{"id":{number},"model_name":"m{number}"}},')
                    file.write(f'{{"id":{number},"timestamps":[{{"name":"HTTP_SEND_END","ns":{number}}}]}},')
                else:
                    line = {"msec": 1_790_000_000 + number, "client": "10.0.0.1", "uri": "/v1/embeddings"}
                    file.write(json.dumps({**line, "req_bytes": number}) + "\n")

    def step(self, kill: int = -1) -> None:
        self.bus.left = kill
        try:
            if self.service is None:
                self.service = AgentService(self.config, self.bus)
            self.service.step()
        except Killed:
            if self.service is not None and self.service._logs is not None:
                self.service._logs.close()
            self.service = None
        self.bus.left = -1

    def rename(self) -> None:
        shift(self.log)
        self.log.rename(self.log.with_name("renamed.log.1"))
        self.log.touch()

    def copy(self) -> None:
        shift(self.copied)
        shutil.copy(self.copied, self.copied.with_name("copied.log.1"))
        os.truncate(self.copied, 0)

    def model(self) -> None:
        path = self.models / f"m{next(self.numbers)}.onnx"
        path.write_bytes(b"x")

    def told(self) -> tuple[list[int], list[int], list[str]]:
        """(lines of the two logs, requests of the trace, files)."""
        events = self.bus.events()
        inferences = [event for event in events if isinstance(event, AiInference)]
        lines = [event.request_bytes for event in inferences if event.server != "triton"]
        models = [int(event.model[1:]) for event in inferences if event.server == "triton"]
        files = [event.path for event in events if isinstance(event, AiModelAccess) and event.action == "created"]
        return lines, models, files


ACTIONS: dict[str, Callable[[Host], object]] = {
    "renamed": lambda host: host.append(host.log, 3),
    "copied": lambda host: host.append(host.copied, 3),
    "trace": lambda host: host.append(host.trace, 3),
    "many": lambda host: host.append(host.log, 700),
    "rename": Host.rename,
    "copy": Host.copy,
    "model": Host.model,
    "save": lambda host: host.service is not None and setattr(host.service, "_saved", 0.0),
}


@given(st.lists(st.sampled_from([*ACTIONS, *range(1, 13)]), min_size=4, max_size=24))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_killed_anywhere_each_line_is_told_once_and_in_order(tmp_path: Path, steps: list[str | int]) -> None:
    """A number is a step that is killed at the nth write: to the bus, before or after it, or to the place."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(service_module, "TURN", 0.0)
        monkeypatch.setattr(service_module, "LOOK", 10.0)
        monkeypatch.setattr(tail, "GRACE", 0.0)
        monkeypatch.setattr(tail, "LOOK", 0.0)
        monkeypatch.setattr("agent.sources.integrity.SETTLED", 0.0)
        monkeypatch.setattr(os, "fsync", lambda _fd: None)
        folder = tmp_path / os.urandom(4).hex()
        folder.mkdir()
        host = Host(folder, monkeypatch)
        host.step()
        for step in steps:
            if isinstance(step, int):
                host.step(step)
            else:
                ACTIONS[step](host)
        for _ in range(12):
            host.step()
        lines, models, files = host.told()
        wrote = 1
        expected: dict[str, list[int]] = {"log": [], "copied": [], "trace": []}
        made = 0
        for step in steps:
            name = {"renamed": "log", "many": "log"}.get(str(step), step)
            amount = {"renamed": 3, "many": 700, "copied": 3, "trace": 3, "model": 1}.get(str(step), 0)
            if name in expected:
                expected[str(name)] += range(wrote, wrote + amount)
            made += step == "model"
            wrote += amount
        assert [number for number in lines if number in set(expected["log"])] == expected["log"]
        assert [number for number in lines if number in set(expected["copied"])] == expected["copied"]
        assert models == expected["trace"]
        assert len(files) == len(set(files)) == made


def test_what_found_no_room_is_read_again_after_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.log"
    path.write_text(json.dumps({"msec": 1_790_000_000.5, "client": "10.0.0.1", "uri": "/"}) + "\n")
    bus = MemoryBus()
    logs = Logs(files={"x": File(str(path), "ai-gateway", beginning=True)})
    sources = LogSources(logs, tmp_path / "state", bus)
    assert len(sources.read()) == 1
    sources.mean()
    monkeypatch.setattr(bus, "publish", lambda *_: (_ for _ in ()).throw(BusFull("no room")))
    sources.close()
    assert len(LogSources(logs, tmp_path / "state", bus).read()) == 1


def test_a_power_cut_repeats_at_most_what_came_since_the_last_save(tmp_path: Path) -> None:
    """The place that was meant is gone with the power, the bus kept what it synced: nothing is lost."""
    path = tmp_path / "x.log"
    line = json.dumps({"msec": 1_790_000_000.5, "client": "10.0.0.1", "uri": "/"}) + "\n"
    path.write_text(line)
    bus = MemoryBus()
    logs = Logs(files={"x": File(str(path), "ai-gateway", beginning=True)})
    sources = LogSources(logs, tmp_path / "state", bus)
    for _ in range(3):
        assert len(sources.read()) == 1
        sources.mean()
        bus.publish(b"{}\n", 1)
        sources.save()
        with path.open("a") as file:
            file.write(line)
    assert len(sources.read()) == 1
    sources.mean()
    bus.publish(b"{}\n", 1)
    (tmp_path / "state" / "x.meant").unlink()
    again = LogSources(logs, tmp_path / "state", bus)
    assert len(again.read()) == 1
    kept = msgspec.json.decode((tmp_path / "state" / "x.json").read_bytes())
    assert kept["start"] == 2
    sources.close()
    again.close()
