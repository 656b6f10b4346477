"""`nigrani agent status` beside an agent that runs, and beside none."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from nigrani.service.endpoint import Endpoint
from nigrani.service.metrics import MetricsSettings
from tests.agent.packets import ROOT
from tests.e2e.test_reload import LINE, Agent, until


def status(*words: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "nigrani.cli", "agent", "status", "--interval", "0.2", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout


def test_an_agent_that_runs(tmp_path: Path) -> None:
    with Agent(tmp_path) as agent:
        agent.hear(b"READY=1")
        agent.log.write_text(LINE.format(1_700_000_000, 0, 1) + "no line of that format\n")
        until(lambda: agent.metric("nigrani_agent_events_total") >= 1, "an event")
        code, out = status("--config", str(agent.path))
        first, *rest = out.splitlines()
        assert (code, first) == (0, "well")
        told = dict(line.strip().split("  ", 1) for line in rest)
        assert told["running"].strip().startswith("for ")
        assert told["log gateway"].strip() == "2 lines, 1 facts, 1 unreadable lines"
        assert told["spool"].strip().endswith("no Kafka: events stay there")
        agent.write(nonsense=1)
        assert agent.reload() == "refused"
        code, out = status("--metrics", f"http://127.0.0.1:{agent.port}/metrics", "--json")
        assert code == 1
        assert json.loads(out)["reasons"] == ["the configuration that was read last is not in effect"]
        agent.stop()
    code, out = status("--metrics", f"http://127.0.0.1:{agent.port}/metrics")
    assert code == 1
    assert out.startswith("not well: no agent answers at ")
    code, out = status("--metrics", f"http://127.0.0.1:{agent.port}/metrics", "--json")
    assert (code, json.loads(out)["well"]) == (1, False)


def test_an_endpoint_of_something_else() -> None:
    class Nothing:
        def collect(self) -> list[object]:
            return []

    endpoint = Endpoint(Nothing(), MetricsSettings("127.0.0.1:0"))  # type: ignore[arg-type]
    try:
        code, out = status("--metrics", f"http://127.0.0.1:{endpoint.port}/metrics")
    finally:
        endpoint.close()
    assert code == 1
    assert "no agent's metrics" in out


@pytest.mark.parametrize("words", [("--interval", "0"), ("--metrics", "nonsense"), ("--interval", "soon")])
def test_what_cannot_be_asked(words: tuple[str, ...]) -> None:
    assert status(*words)[0] == 2
