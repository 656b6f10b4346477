"""From a packet on the wire to an alert in the detector's metrics, by way of agent, spool, Kafka and rules.

Hosts of a namespace, each with an address of its own, open DICOM associations in the clear with a server in the zone
`internet`: the shipped rule alerts once for each of them.
"""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import NamedTuple

import yaml

from bench.kafka.broker import Server
from bench.kafka.server import free_port
from bench.measure import ROOT
from bench.transport.caller import association
from bench.transport.cost import peak_megabytes
from bench.transport.pair import CALLERS, HERE, Pair
from bench.transport.percentile import percentile
from bench.transport.site import Agent, Service, wait_for
from bench.transport.soak import Plan, detector, topics

RULE = "cleartext_leaving_site"
LOOK = 0.01
"""Seconds between two looks at the alert counter."""
LONGEST = 90.0
_COUNT = re.compile(rf'^nigrani_alerts_total\{{[^}}]*kind="{RULE}"[^}}]*\}} (\S+)', re.MULTILINE)


class Alarm(NamedTuple):
    """Milliseconds of all alerts."""

    load: float
    """Events a second that another agent sends meanwhile."""
    alerts: int
    p50: float
    p99: float
    longest: float
    agent_megabytes: float
    exact: bool
    """Each association led to an alert, and nothing else did."""


def measure(folder: Path, broker: Server, count: int, stream: Path, load: float) -> Alarm:
    """Call so many times. stream: what another agent sends meanwhile, `load` events a second, if any."""
    names = topics(broker, Plan(partitions=1))
    kafka = {"servers": [broker.servers], **names}
    judge = detector(folder, 0, kafka, instance="")
    services: list[Service] = [judge]
    with Pair() as pair, socket.create_server((HERE, 0)) as server:
        threading.Thread(target=_answer, args=(server,), daemon=True).start()
        watch = _agent(folder, pair, {"servers": kafka["servers"], "topic": names["topic"]})
        services.append(watch)
        if load:
            other = Agent(
                folder / f"other-{load:g}", 1, stream, load, {"servers": kafka["servers"], "topic": names["topic"]}
            )
            services += [other.offer, other.forward]
        try:
            for one in services:
                one.start()
            wait_for("the way is open", lambda: judge.metric("nigrani_events_total", dataset="agent.status"), LONGEST)
            time.sleep(1.0)
            command = ["ip", "netns", "exec", pair.space, sys.executable, "-m", "bench.transport.caller", HERE]
            port = str(server.getsockname()[1])
            with subprocess.Popen([*command, port, str(count)], cwd=ROOT, stdout=subprocess.PIPE, text=True) as caller:
                seen = _watch(judge.port, count)
                called = [int(line) for line in caller.stdout or ()]
            megabytes = peak_megabytes(watch)
        finally:
            for one in reversed(services):
                if one.runs:
                    one.stop()
    late = [(when - sent) / 1e6 for sent, when in zip(called, seen, strict=False)]
    exact = len(seen) == len(called) == count and min(late) > 0
    return Alarm(load, len(seen), percentile(late, 50), percentile(late, 99), max(late, default=0.0), megabytes, exact)


def _agent(folder: Path, pair: Pair, kafka: dict[str, object]) -> Service:
    config = folder / "watch.yaml"
    settings = {
        "name": "watch",
        "interfaces": [pair.link],
        "privacy": {"zones": {"internet": [f"{HERE}/32"], "modalities": [CALLERS]}},
        "bus": {"path": str(folder / f"watch-{time.time_ns():x}")},
        "kafka": kafka,
        "metrics": {"listen": f"127.0.0.1:{free_port()}"},
    }
    config.write_text(yaml.safe_dump(settings))
    return Service("watch", folder / "watch", ("nigrani.cli", "agent", "run", "--config", config))


def _watch(port: int, count: int) -> list[int]:
    """When the counter was first seen at one, two, … and `count` alerts, in nanoseconds."""
    seen: list[int] = []
    until = time.monotonic() + LONGEST
    url = f"http://127.0.0.1:{port}/metrics?name[]=nigrani_alerts_total"
    while len(seen) < count and time.monotonic() < until:
        with urllib.request.urlopen(url, timeout=5) as answer:
            found = _COUNT.search(answer.read().decode())
        now = time.time_ns()
        seen += [now] * (int(float(found[1])) - len(seen) if found else 0)
        time.sleep(LOOK)
    return seen


def _answer(server: socket.socket) -> None:
    """Take every association, and release it when asked."""
    _, accept, _, released = association()
    with contextlib.suppress(OSError):
        while True:
            call, _ = server.accept()
            with call, contextlib.suppress(OSError):
                for answer in (accept, released):
                    call.recv(4096)
                    call.sendall(answer)
