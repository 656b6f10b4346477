from __future__ import annotations

import socket
from pathlib import Path

import pytest

from agent import config as settings
from agent import setup as module
from agent.config import AgentConfig
from agent.privacy import Tokens
from agent.setup import bus_folder, make_forwarder, make_map, make_pipeline, make_privacy
from nigrani.service.errors import Problem
from nigrani.stream.event import Event


class Sink:
    def write(self, events: list[Event]) -> None:
        del events


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NIGRANI_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


def test_the_key_is_made_in_the_state_folder_and_kept(state: Path) -> None:
    first = make_privacy(AgentConfig(), "1")
    assert len((state / "site.key").read_bytes()) == 32
    assert make_privacy(AgentConfig(), "2").address("10.0.0.1") == first.address("10.0.0.1")


def test_policy_reaches_the_way_out(tmp_path: Path, state: Path) -> None:
    config = AgentConfig(
        name="probe",
        host="10.0.0.2",
        privacy=settings.Privacy(key=tmp_path / "other.key", zones={"ct": ("10.0.0.0/24",)}, domains="token"),
    )
    privacy = make_privacy(config, "1")
    assert privacy.address("10.0.0.1")[1] == "ct"
    assert (tmp_path / "other.key").exists()
    assert not state.exists()
    status = privacy.status(1, "1", 0, 0, {})
    assert (status.agent, status.host) == ("probe", privacy.address("10.0.0.2")[0])


def test_an_unnamed_agent_has_a_token_of_its_hosts_name(state: Path) -> None:
    status = make_privacy(AgentConfig(), "1").status(1, "1", 0, 0, {})
    assert status.agent == Tokens((state / "site.key").read_bytes()).of("host", socket.gethostname().encode())


def test_a_bad_key_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "short.key").write_bytes(b"short")
    (tmp_path / "short.key").chmod(0o600)
    with pytest.raises(Problem, match="5 bytes"):
        make_privacy(AgentConfig(privacy=settings.Privacy(key=tmp_path / "short.key")), "1")


def test_bounds_reach_the_meter() -> None:
    pipeline = make_pipeline(AgentConfig(meter=settings.Meter(16, 1)), make_privacy(AgentConfig(), "1"), Sink())
    assert pipeline.meter.counters()["flows"] == 0


def test_a_forwarder_reads_the_spool_as_kafkas_group(state: Path, tmp_path: Path) -> None:
    config = AgentConfig(kafka=settings.Kafka(servers=("127.0.0.1:1",)))
    assert bus_folder(config) == state / "bus"
    forwarder = make_forwarder(config, bus_folder(config))
    assert (state / "bus" / "kafka.offset").is_file()
    assert forwarder.dead.path == state / "dead-letter.ndjson"
    assert forwarder.empty
    forwarder.close()
    with pytest.raises(Problem, match="holds no spool"):
        make_forwarder(config, tmp_path / "nowhere", create=False)


@pytest.mark.parametrize(
    ("kafka", "message"),
    [
        (
            settings.Kafka(servers=("k:1",), client="confluent"),
            r"confluent is not installed; pip install nigrani\[confluent\]",
        ),
        (settings.Kafka(servers=("k:1",), compression="lz4"), "lz4 is not installed"),
    ],
)
def test_what_is_not_installed_is_told(
    kafka: settings.Kafka, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {"kafka"}
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: name if name in found else None)
    with pytest.raises(Problem, match=message):
        make_forwarder(AgentConfig(kafka=kafka), tmp_path / "bus")


def test_without_a_public_key_no_map_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NIGRANI_STATE", str(tmp_path / "state"))
    assert make_map(AgentConfig()) is None
    sealer = make_map(AgentConfig(privacy=settings.Privacy(map=settings.TokenMap(key="5a" * 32))))
    assert sealer is not None
    sealer.close()
    assert (tmp_path / "state" / "tokens").is_dir()
