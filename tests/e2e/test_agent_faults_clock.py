"""A clock that is set back and forth by an hour, or that tells another century."""

from __future__ import annotations

import shutil
import subprocess
import time as real
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from agent import service as module
from agent.config import AgentConfig, Privacy
from agent.flow import FlowRecord
from agent.meter import Meter
from agent.service import HEARTBEAT, AgentService
from agent.sources.settings import File, Logs
from nigrani.stream.codec import decode
from nigrani.stream.events import AgentStatus, AiInference
from nigrani.stream.memory import MemoryBus
from tests.agent.packets import SECOND, START, datagram, feed, frame, nothing, segment
from tests.e2e.agents import events, lines, running, watching
from tests.fuzz.target import flow_of

HOUR = 3600
SHIFT = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, now);
    FILE *file = clock == CLOCK_REALTIME ? fopen(getenv("SHIFT"), "r") : NULL;
    long shift = 0;
    if (file && fscanf(file, "%ld", &shift) == 1) now->tv_sec += shift;
    if (file) fclose(file);
    return result;
}
"""
"""Adds the seconds in a file to the host's clock, for one process: the clock itself is not ours to set."""


@pytest.mark.parametrize("step", [-HOUR, HOUR, -200 * 24 * HOUR, 200 * 24 * HOUR])
@pytest.mark.parametrize("silence", [0, 8])
def test_flows_go_on_when_the_clock_is_set(step: int, silence: int) -> None:
    """One flow with a segment every ten seconds, before and after: all are told, at their time, none hangs for long."""
    meter = Meter(nothing, 64, 8)
    sent = [frame(segment(1000 + number, b"x"), number * 10) for number in range(13)]
    sent += [frame(datagram(("10.0.0.9", 5), ("10.0.0.8", 7), b"x"), 121 + number) for number in range(silence)]
    after = 130 + step
    feed(meter, sent)
    before = [one for one in meter.drain() if isinstance(one, FlowRecord)]
    feed(meter, [frame(segment(2000 + number, b"x"), after + number * 10) for number in range(60)])
    told = [one for one in meter.drain() if isinstance(one, FlowRecord)]
    meter.close()
    last = [one for one in meter.drain() if isinstance(one, FlowRecord)]
    ours = [one for one in (*before, *told, *last) if one.ends.protocol == 6]
    assert sum(one.source[0] for one in ours) == 13 + 60
    assert len([one for one in told if one.ends.protocol == 6]) > 5, "records are cut every minute as before"
    times = [(one.start - START) // SECOND for one in ours]
    assert all(0 <= one.last - one.start <= 70 * SECOND for one in ours)
    assert all(0 <= at <= 130 or after <= at <= after + 600 for at in times), times
    assert all(flow_of(one) for one in ours)
    assert meter.counters()["clock_steps"] == (step < 0)


def test_flows_end_though_nothing_comes_after_the_clock_was_set_back() -> None:
    meter = Meter(nothing, 64, 8)
    feed(meter, [frame(segment(1, b"x"))])
    now = START // SECOND - HOUR
    for second in range(now, now + 600):
        meter.tick(second * SECOND)
    (record,) = meter.drain()
    assert record.reason in {"idle", "active"}
    assert meter.counters()["active_flows"] == 0


class Time(SimpleNamespace):
    """What the service takes for the module `time`."""

    def __init__(self) -> None:
        super().__init__(wall=1_790_000_000.0, since=1000.0)

    def time(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.since

    def pass_(self, seconds: float) -> None:
        self.wall += seconds
        self.since += seconds


def test_heartbeats_and_logs_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Time()
    monkeypatch.setattr(module, "time", clock)
    log = tmp_path / "gate.log"
    log.write_text("")
    monkeypatch.setenv("NIGRANI_STATE", str(tmp_path))
    config = AgentConfig(
        name="a",
        privacy=Privacy(key=tmp_path / "key"),
        logs=Logs(files={"gate": File(str(log), "ai-gateway", beginning=True)}),
    )
    bus = MemoryBus()
    service = AgentService(config, bus)
    for number, step in enumerate((0, -HOUR, 0, 2 * HOUR, 0)):
        clock.wall += step
        with log.open("a") as file:
            file.write(lines(number + 1, 1))
        service.step()
        clock.pass_(HEARTBEAT)
    service.close()
    told = [decode(line) for batch in bus.reader("test").poll(100) for line in batch.lines.splitlines()]
    assert len([one for one in told if isinstance(one, AgentStatus)]) == 6
    assert [one.request_bytes for one in told if isinstance(one, AiInference)] == [1, 2, 3, 4, 5]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """To be loaded before an agent."""
    if not shutil.which("cc"):
        pytest.skip("needs a C compiler, for a clock that can be set")
    folder = tmp_path_factory.mktemp("shift")
    (folder / "shift.c").write_text(SHIFT)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", folder / "shift.so", folder / "shift.c", "-ldl"], check=True, timeout=60)
    return folder / "shift.so"


def test_an_agent_whose_clock_is_set_back_and_forth(library: Path, tmp_path: Path) -> None:
    """It says so, counts it, and reads on."""
    log, shift = tmp_path / "gate.log", tmp_path / "shift"
    log.write_text("")
    shift.write_text("0")
    with running(tmp_path / "state", watching(log), LD_PRELOAD=str(library), SHIFT=str(shift)) as agent:
        agent.ready()
        for number, step in enumerate((0, -HOUR, HOUR), 1):
            shift.write_text(str(step))
            real.sleep(0.3)
            with log.open("a") as file:
                file.write(lines(number, 1))
            agent.until("nigrani_agent_events_total", number)
        assert agent.until("nigrani_agent_clock_steps_total", 2) == 2
        assert "clock" in agent.said()
        agent.stop()
    told = events(tmp_path / "state")
    assert [one.request_bytes for one in told if isinstance(one, AiInference)] == [1, 2, 3]


@pytest.mark.parametrize("year", [1970, 2038, 2100])
def test_a_clock_of_another_century(year: int, library: Path, tmp_path: Path) -> None:
    log, shift = tmp_path / "gate.log", tmp_path / "shift"
    log.write_text(lines(1, 5))
    shift.write_text(str(int(datetime(year, 1, 20, tzinfo=UTC).timestamp() - real.time())))
    with running(tmp_path / "state", watching(log), LD_PRELOAD=str(library), SHIFT=str(shift)) as agent:
        agent.ready()
        agent.until("nigrani_agent_events_total", 5)
        agent.stop()
    found = events(tmp_path / "state")
    assert [one.request_bytes for one in found if isinstance(one, AiInference)] == [1, 2, 3, 4, 5]
    assert {one.timestamp.year for one in found if isinstance(one, AgentStatus)} == {year}
