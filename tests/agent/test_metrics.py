"""Every counter of the agent is a metric that says what it is."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from agent import service as service_module
from agent.captures.live import LiveCapture
from agent.captures.watched import Counts
from agent.config import AgentConfig, Privacy, TokenMap
from agent.metrics import GAUGES, LOG_TEXTS, TEXTS, AgentMetrics
from agent.service import AgentService
from agent.sources.journald import JournalReader
from agent.sources.settings import File, Folder, Journal, Logs, Syslog
from nigrani.service.exposition import Family
from nigrani.stream.memory import MemoryBus
from tests.agent.test_service import Quiet


class Counted:
    def __init__(self, counters: dict[str, int], logs: dict[str, dict[str, int]]) -> None:
        self._counters, self._logs = counters, logs

    def counters(self) -> dict[str, int]:
        return self._counters

    def log_counters(self) -> dict[str, dict[str, int]]:
        return self._logs


def families(counts: Counted | AgentService) -> dict[str, Family]:
    return {family.name: family for family in AgentMetrics(counts).collect()}


def test_each_counter_is_a_family_and_gauges_are_gauges() -> None:
    found = families(Counted({"packets": 3, "active_flows": 2}, {}))
    assert (found["nigrani_agent_packets"].type, found["nigrani_agent_packets"].samples[0].value) == ("counter", 3)
    assert found["nigrani_agent_active_flows"].type == "gauge"
    assert found["nigrani_agent_meter_compiled"].samples[0].value in {0, 1}


def test_sources_of_logs_are_told_by_the_names_of_the_configuration() -> None:
    found = families(Counted({}, {"gateway": {"lines": 2, "absent": 0}, "pacs": {"lines": 5}}))
    lines = found["nigrani_agent_log_lines"]
    assert {sample.labels["source"]: sample.value for sample in lines.samples} == {"gateway": 2, "pacs": 5}
    assert found["nigrani_agent_log_absent"].type == "gauge"


class Watching:
    """A capture that has one interface."""

    _watched = (SimpleNamespace(counts=Counts(), fill=0.0, shedding=SimpleNamespace(one_in=1, changes=0), is_up=True),)
    _fills = (0.0,)


@pytest.fixture
def whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AgentService:
    """One of everything that counts."""
    monkeypatch.setattr(service_module, "LiveCapture", Quiet)
    monkeypatch.setenv("NIGRANI_STATE", str(tmp_path / "state"))
    (tmp_path / "models").mkdir()
    (tmp_path / "log").write_text("")
    logs = Logs(
        files={"gateway": File(path=str(tmp_path / "log"), format="ai-gateway")},
        syslog={"pacs": Syslog(listen="127.0.0.1:0", transport="udp")},
        folders={"models": Folder(path=str(tmp_path / "models"))},
    )
    privacy = Privacy(map=TokenMap(key="ab" * 32))
    return AgentService(AgentConfig(name="a", interfaces=("x0",), privacy=privacy, logs=logs), MemoryBus())


def test_every_counter_has_its_sentence(whole: AgentService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(JournalReader, "_start", lambda self: None)
    journal = JournalReader(Journal(units=("ollama.service",), format="orthanc"))
    captured = LiveCapture.counters(Watching())  # type: ignore[arg-type]
    assert set(whole.counters()) | captured.keys() == TEXTS.keys(), "all of them, and none that is no more"
    logs = {name for counters in whole.log_counters().values() for name in counters}
    assert logs | set(journal.counters) == LOG_TEXTS.keys(), "all of them, and none that is no more"
    for family in families(whole).values():
        assert re.fullmatch(r"[A-Z0-9].*\.", family.documentation), family.name
    whole.close()


def test_gauges_are_counters_that_are() -> None:
    assert TEXTS.keys() >= GAUGES
