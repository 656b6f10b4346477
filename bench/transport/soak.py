"""The road under fire: a broker killed for minutes, agents and detectors killed in between, and nothing lost or told twice.

    python -m bench.transport.soak [--outage SECONDS] [--rate EVENTS] [--agents N] [--detectors N] [--partitions N]

Starts a real Apache Kafka, agents' spools and forwarders and detectors as processes of their own. Exit code 1 where an event
was lost, an agent's order broken, or the alerts are not those of an undisturbed run, each once.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from bench.kafka.broker import Broker, Server, make_topic
from bench.transport import story, verdict
from bench.transport.site import Agent, Detector, sample, wait_for

BEFORE = 12.0
AFTER = 12.0
"""Seconds of quiet life before and after the outage."""
TOPICS = {"topic": "nigrani.events", "alerts": "nigrani.alerts", "state": "nigrani.state"}


class Plan(NamedTuple):
    """How hard a run is."""

    outage: float = 300.0
    """Seconds without the broker."""
    rate: float = 2000.0
    """Events a second of all agents together."""
    agents: int = 3
    detectors: int = 1
    partitions: int = 4
    wire: str = "event"


class Report(NamedTuple):
    """What a run showed."""

    plan: Plan
    offered: int
    arrived: verdict.Arrived
    dropped: int
    """Counted by the agents' spools."""
    expected: set[str]
    """Ids of the undisturbed run's alerts."""
    told: dict[str, int]
    """Id → how often it went to the alerts' topic."""
    seconds: float
    caught_up: float
    """Seconds from the broker's return until everything was judged."""

    @property
    def faults(self) -> list[str]:
        """What must not be."""
        found = []
        if self.arrived.events + self.dropped != self.offered:
            found.append(f"{self.offered} offered, {self.arrived.events} arrived, {self.dropped} counted as dropped")
        if self.arrived.disordered:
            found.append(f"{self.arrived.disordered} events out of their agent's order")
        if missing := self.expected - set(self.told):
            found.append(f"{len(missing)} of {len(self.expected)} alerts were not told: {sorted(missing)[:5]}")
        if more := set(self.told) - self.expected:
            found.append(f"{len(more)} alerts that an undisturbed run does not have: {sorted(more)[:5]}")
        if twice := [uid for uid, count in self.told.items() if count > 1]:
            found.append(f"{len(twice)} alerts told more than once: {sorted(twice)[:5]}")
        return found

    def lines(self) -> list[str]:
        """For a person."""
        plan = self.plan
        return [
            f"{plan.agents} agents, {plan.rate:g} events/s, {plan.partitions} partitions, {plan.detectors} detectors",
            f"wire {plan.wire}; broker away for {plan.outage:g} s; {self.seconds:.0f} s in all",
            f"{self.offered:,} offered, {self.arrived.events:,} arrived, {self.dropped:,} counted as dropped",
            f"{self.arrived.repeats:,} arrived again, {self.arrived.disordered:,} out of order",
            f"{len(self.told)} alerts told of {len(self.expected)}; all was judged {self.caught_up:.1f} s after the return",
            *(f"FAULT: {fault}" for fault in self.faults),
        ]


def run(folder: Path, broker: Server, plan: Plan, say: Callable[[str], None] = lambda _: None) -> Report:
    """Play a plan on a broker that runs."""
    began = time.monotonic()
    per_agent = plan.rate / plan.agents
    events = per_agent * (plan.outage + BEFORE + AFTER)
    per_cycle = len(story.morning(folder, 0))
    streams = story.make(folder, plan.agents, max(1, round(events / per_cycle)))
    offered = sum(story.count(path) for path in streams)
    expected = set(verdict.undisturbed(streams, folder / "baseline.npz"))
    say(f"{offered:,} events, {len(expected)} alerts expected")
    names = topics(broker, plan)
    kafka = {"servers": broker.servers.split(","), "topic": names["topic"]}
    agents = [
        Agent(folder / f"site-{number}", number, path, per_agent, {**kafka, "wire": plan.wire})
        for number, path in enumerate(streams)
    ]
    detectors = [detector(folder, number, {**kafka, **names}) for number in range(plan.detectors)]
    for one in (*agents, *detectors):
        one.start()
    try:
        back = _fire(broker, agents, detectors, plan, say)
        _settle(agents, detectors, say)
        caught_up = time.monotonic() - back
    finally:
        for agent in agents:
            agent.forward.stop()
            agent.offer.kill()
        for one in detectors:
            one.stop()
    return Report(
        plan,
        offered,
        verdict.arrived(broker.servers, names["topic"]),
        sum(int(_missed(agent)) for agent in agents),
        expected,
        dict(verdict.alerts(broker.servers, names["alerts"])),
        time.monotonic() - began,
        caught_up,
    )


def _fire(broker: Server, agents: list[Agent], detectors: list[Detector], plan: Plan, say: Callable[[str], None]) -> float:
    """Kill and start again, by a timetable; returns when the broker was back."""

    def again(one: Any) -> Callable[[], None]:
        def act() -> None:
            one.kill()
            one.start()

        return act

    down, up = BEFORE, BEFORE + plan.outage
    victims = itertools.cycle(detectors)
    table: list[tuple[float, str, Callable[[], Any]]] = [
        (down - 5, "detector killed", again(next(victims))),
        (down, "broker killed", broker.kill),
        (down + plan.outage * 0.3, "agent 0 killed", again(agents[0])),
        (down + plan.outage * 0.5, "detector killed", again(next(victims))),
        (up, "broker started", broker.start),
        (up + 2, "agent 0 killed", again(agents[0])),
        (up + 4, "detector killed", again(next(victims))),
    ]
    began = time.monotonic()
    back = 0.0
    for when, words, act in sorted(table, key=lambda row: row[0]):
        time.sleep(max(began + when - time.monotonic(), 0))
        say(f"{time.monotonic() - began:6.1f} s  {words}")
        act()
        if act == broker.start:
            back = time.monotonic()
    return back


def _settle(agents: list[Agent], detectors: list[Detector], say: Callable[[str], None]) -> None:
    """Wait until everything offered was forwarded and judged."""
    for agent in agents:
        agent.offer.wait(600)
    say("everything is offered")
    wait_for("spools empty", lambda: all(sample(one.port, "nigrani_agent_spool_events") == 0 for one in agents), 300)
    say("everything is forwarded")

    def judged() -> bool:
        lags = [one.metric("nigrani_bus_lag_events") for one in detectors]
        held = sum(one.metric("nigrani_detector_partitions") or 0 for one in detectors)
        return held > 0 and all(lag == 0 for lag in lags)

    wait_for("everything judged", lambda: judged() and not time.sleep(1.5) and judged(), 300)
    say("everything is judged")


def topics(broker: Server, plan: Plan) -> dict[str, str]:
    """Topics of this run alone."""
    mark = f"{time.time_ns():x}"
    names = {kind: f"{name}-{mark}" for kind, name in TOPICS.items()}
    make_topic(broker.servers, names["topic"], plan.partitions)
    for kind in ("alerts", "state"):
        make_topic(broker.servers, names[kind], plan.partitions, cleanup_policy="compact", max_message_bytes=16 << 20)
    return names


def detector(folder: Path, number: int, kafka: dict[str, Any], **more: Any) -> Detector:
    """A detector with the streams' baseline; `more` are settings of its Kafka."""
    baseline = {"path": str(folder / "baseline.npz"), "trusted": [str(folder / "baseline.pub")]}
    own = {**kafka, "group": kafka["topic"], "instance": f"detector-{number}", **more}
    return Detector(folder / f"detector-{number}", number, own, baseline=baseline, checkpoints={"seconds": 2.0})


def _missed(agent: Agent) -> float:
    from nigrani.stream.spool import stat  # noqa: PLC0415 - only here

    return sum(group.missed_events for group in stat(agent.spool).groups.values())


def main() -> int:
    """Run once and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in Plan._field_defaults.items():
        parser.add_argument(f"--{name}", type=type(default), default=default)
    plan = Plan(**vars(parser.parse_args()))
    with TemporaryDirectory(prefix="nigrani-soak-") as folder, Broker() as broker:
        report = run(Path(folder), broker, plan, lambda words: print(words, file=sys.stderr, flush=True))
    print("\n".join(report.lines()))
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
