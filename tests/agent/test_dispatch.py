"""One forwarder follows another; with a broker in tests/kafka/test_reload.py."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agent import forwarder, setup
from agent.config import AgentConfig, Kafka
from agent.dispatch import Dispatch
from nigrani.service.errors import Problem
from nigrani.service.exposition import Registry, exposition
from nigrani.stream.kafka import producer
from nigrani.stream.spool import Spool
from tests.agent.test_forwarder import line

NONE = AgentConfig()
HERE = AgentConfig(kafka=Kafka(servers=("127.0.0.1:1",)))
THERE = AgentConfig(kafka=Kafka(servers=("127.0.0.1:2",)))

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@pytest.fixture(autouse=True)
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NIGRANI_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(forwarder, "LAST_SECONDS", 0.2)
    monkeypatch.setattr(producer, "CONNECT_SECONDS", 0.5)
    with Spool.open(tmp_path / "bus") as opened:
        opened.publish(line(0) + b"\n", 1)
    return tmp_path / "bus"


@pytest.fixture
def dispatch(spool: Path) -> Iterator[Dispatch]:
    made = Dispatch(HERE, spool)
    made.start()
    yield made
    made.stop()


def shown(dispatch: Dispatch) -> str:
    registry = Registry()
    registry.register(dispatch)
    return exposition(registry).decode()


def until(dispatch: Dispatch, words: str) -> None:
    deadline = time.monotonic() + 30
    while words not in dispatch.trouble() and time.monotonic() < deadline:
        assert dispatch.runs, "the watchdog would act"
        time.sleep(0.05)
    assert words in dispatch.trouble()


def test_another_forwarder_follows_and_the_event_waits(dispatch: Dispatch) -> None:
    until(dispatch, "127.0.0.1:1")
    for config in (NONE, HERE, THERE):  # the ones in between are overtaken
        dispatch.change(config)
        assert dispatch.runs
    until(dispatch, "127.0.0.1:2")
    deadline = time.monotonic() + 30
    while "nigrani_agent_spool_events 1" not in shown(dispatch) and time.monotonic() < deadline:
        time.sleep(0.05)  # the gauge is brought up to date once a second
    assert "nigrani_agent_spool_events 1" in shown(dispatch)


def test_kafka_is_left_and_taken_up(spool: Path) -> None:
    dispatch = Dispatch(NONE, spool)
    dispatch.start()
    assert dispatch.runs
    assert dispatch.trouble() == ""
    assert "nigrani_agent_spool_bytes" in shown(dispatch)
    assert "forward_state" not in shown(dispatch)
    dispatch.change(HERE)
    until(dispatch, "127.0.0.1:1")
    assert 'forward_state{state="stalled"} 1' in shown(dispatch)
    dispatch.change(NONE)
    deadline = time.monotonic() + 30
    while "forward_state" in shown(dispatch) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert "forward_state" not in shown(dispatch)
    assert dispatch.runs
    dispatch.stop()


def test_what_is_not_installed_is_refused_at_once(dispatch: Dispatch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(Problem, match="confluent is not installed"):
        dispatch.change(replace(HERE, kafka=replace(HERE.kafka, client="confluent")))
    assert dispatch.runs


def test_a_successor_that_cannot_be_made_is_the_watchdogs_business(
    dispatch: Dispatch, spool: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("NIGRANI_STATE", str(tmp_path / "file"))
    dispatch.change(THERE)
    deadline = time.monotonic() + 30
    while dispatch.runs and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not dispatch.runs
    assert "events stay in the spool" in caplog.text
