"""Prometheus and Alertmanager with the rules as shipped: an attack is a message within seconds, and a dead agent is.

Only times are shorter than shipped: a second for each scrape, evaluation and `for`, and no wait for a group.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from nigrani.stream.spool import Spool
from tests.agent.packets import frame, pcap, segment
from tests.e2e.agents import ROOT, Agent, running, watching
from tests.programs import free_port, program

CONFIG = ROOT / "config"
PATIENCE = 20.0


class Hook:
    """Stands where nigrani's page takes what Alertmanager posts."""

    def __init__(self) -> None:
        self.bodies: queue.Queue[tuple[float, dict[str, Any]]] = queue.Queue()
        bodies = self.bodies

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                bodies.put((time.time(), body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def wait(self, name: str, **labels: str) -> tuple[float, dict[str, Any]]:
        """When the first message about such an alert came, and it."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            with contextlib.suppress(queue.Empty):
                when, body = self.bodies.get(timeout=0.5)
                for alert in body["alerts"]:
                    if alert["labels"] | {"alertname": name, **labels} == alert["labels"] and alert["status"] == "firing":
                        return when, alert
        raise AssertionError(f"no message of {name} {labels}")

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Watch(NamedTuple):
    """All that runs."""

    prometheus: str
    alertmanager: str
    hook: Hook
    state: Path
    agent: Agent

    def ask(self, query: str) -> list[dict[str, Any]]:
        """An instant query's result."""
        url = f"{self.prometheus}/api/v1/query?" + urllib.parse.urlencode({"query": query})
        found: list[dict[str, Any]] = get(url)["data"]["result"]
        return found

    def attack(self) -> float:
        """Sixty ports of the archive are tried; returns when the detector had raised the alert."""
        frames = []
        for number in range(60):
            client, server = ("10.0.0.66", 40_000 + number), ("10.0.0.2", 1 + number)
            for back, flags in ((False, "S"), (True, "RA")):
                frames.append(frame(segment(1, flags=flags, client=client, server=server, back=back), number // 6))
        capture = self.state / "scan.pcap"
        capture.write_bytes(pcap(frames))
        words = ("agent", "replay", capture, "--bus", self.state / "bus")
        subprocess.run(nigrani(*words), cwd=ROOT, env=environment(self.state), check=True, timeout=30, capture_output=True)
        log = self.state / "alerts.ndjson"
        until("an alert", lambda: log.exists() and b"Port scan" in log.read_bytes())
        return log.stat().st_mtime


def nigrani(*words: object) -> list[str]:
    return [sys.executable, "-m", "nigrani.cli", *map(str, words)]


def environment(state: Path) -> dict[str, str]:
    return {**os.environ, "NIGRANI_STATE": str(state)}


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return json.loads(answer.read())


def until(what: str, holds: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            if holds():
                return
        time.sleep(0.1)
    raise AssertionError(f"not within {PATIENCE:g} s: {what}")


def hurried(text: str) -> str:
    """The same with times of a test."""
    text = re.sub(r"(scrape_interval|evaluation_interval|group_interval|    interval): \w+", r"\1: 1s", text)
    text = re.sub(r"^(\s+for): \w+$", r"\1: 1s", text, flags=re.MULTILINE)
    return re.sub(r"group_wait: \w+", "group_wait: 0s", text)


def configure(folder: Path, ports: dict[str, int]) -> None:
    """The shipped files with ports of the test, and both the test and the real page told."""
    for path in [*(CONFIG / "prometheus").glob("*.yml"), CONFIG / "alertmanager" / "alertmanager.yml"]:
        text = hurried(path.read_text())
        for shipped, port in ports.items():
            text = re.sub(rf"127\.0\.0\.1:{shipped}(?=[]/])", f"127.0.0.1:{port}", text)
        also = f"webhook_configs: &page\n      - url: http://127.0.0.1:{ports['page']}/api/alertmanager"
        (folder / path.name).write_text(text.replace("webhook_configs: &page", also))


@contextlib.contextmanager
def started(words: list[str], folder: Path, state: Path | None = None) -> Iterator[None]:
    """A program beside the test."""
    said = folder / f"{Path(words[0]).name}-{len(list(folder.glob('*.said')))}.said"
    with said.open("wb") as log:
        process = subprocess.Popen(words, cwd=ROOT, env=environment(state or folder), stdout=log, stderr=log)
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    assert "Traceback" not in said.read_text(errors="replace"), said.read_text(errors="replace")


@pytest.fixture(scope="module")
def watch(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watch]:
    prometheus, alertmanager = program("prometheus", request), program("prometheus-alertmanager", request)
    folder = tmp_path_factory.mktemp("watch")
    state = folder / "detector"
    state.mkdir()
    hook = Hook()
    log = folder / "gate.log"
    log.touch()
    ports = {name: free_port() for name in ("9464", "9090", "9093", "page")}
    with contextlib.ExitStack() as stack:
        stack.callback(hook.close)
        agent = stack.enter_context(running(folder / "agent", watching(log), NIGRANI_PURE="1"))
        ports["9465"] = int(agent.url.rpartition(":")[2].split("/")[0])
        configure(folder, ports | {"9466": hook.port})
        Spool.open(state / "bus").close()
        detector = nigrani("detector", "run", "--set", f"metrics.listen=127.0.0.1:{ports['9464']}")
        detector += ["--set", f"page.listen=127.0.0.1:{ports['page']}"]
        stack.enter_context(started(detector, folder, state))
        stack.enter_context(
            started(
                [
                    prometheus, f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'tsdb'}",
                    f"--web.listen-address=127.0.0.1:{ports['9090']}",
                ],
                folder,
            )
        )  # fmt: skip
        stack.enter_context(
            started(
                [
                    alertmanager, f"--config.file={folder / 'alertmanager.yml'}", f"--storage.path={folder / 'am'}",
                    f"--web.listen-address=127.0.0.1:{ports['9093']}", "--cluster.listen-address=",
                ],
                folder,
            )
        )  # fmt: skip
        agent.ready()
        made = Watch(f"http://127.0.0.1:{ports['9090']}", f"http://127.0.0.1:{ports['9093']}", hook, state, agent)
        until("both targets are up", lambda: len(made.ask('up{job=~"nigrani-.*"} == 1')) == 2)
        yield made


def test_an_attack_is_a_message_within_seconds(watch: Watch) -> None:
    raised = watch.attack()
    when, alert = watch.hook.wait("NigraniCaseOpen", kind="port_scan")
    assert when - raised < 15
    print(f"alert to message: {when - raised:.1f} s")  # noqa: T201 - the figure that this is about
    assert alert["labels"]["severity"] == "high"
    assert alert["labels"]["site"] == "main"
    assert not {"page", "grafana"} & alert["labels"].keys()
    assert alert["annotations"]["runbook_url"] == "http://127.0.0.1:9466/runbooks/port_scan"
    assert "{{" not in json.dumps(alert)


def test_the_watchdog_fires_and_every_rule_is_evaluated_without_fault(watch: Watch) -> None:
    assert watch.ask('ALERTS{alertname="NigraniWatchdog",alertstate="firing"}')
    rules = [rule for group in get(f"{watch.prometheus}/api/v1/rules")["data"]["groups"] for rule in group["rules"]]
    assert len(rules) > 50
    until("all rules are evaluated", lambda: all(rule["health"] == "ok" for rule in faults(watch)) and not faults(watch))


def faults(watch: Watch) -> list[dict[str, Any]]:
    rules = [rule for group in get(f"{watch.prometheus}/api/v1/rules")["data"]["groups"] for rule in group["rules"]]
    return [rule for rule in rules if rule["health"] != "ok"]


def test_a_dead_agent_is_a_message_and_its_symptoms_are_not(watch: Watch) -> None:
    """Last, for it takes the agent away. The symptom: it runs interpreted, which is told on for a while."""
    until("the symptom fires", lambda: watch.ask('ALERTS{alertname="NigraniMeterInterpreted",alertstate="firing"}'))
    watch.agent.process.kill()
    killed = time.time()
    when, alert = watch.hook.wait("NigraniAgentDown")
    print(f"kill to message: {when - killed:.1f} s")  # noqa: T201 - as above
    assert alert["labels"]["about"] == "agent"

    def inhibited() -> bool:
        found = get(f"{watch.alertmanager}/api/v2/alerts?filter=alertname%3D%22NigraniMeterInterpreted%22")
        return bool(found) and all(one["status"]["inhibitedBy"] for one in found)

    until("the symptom is inhibited", inhibited)
    until("the page has a case of it", lambda: watch.ask('nigrani_cases_open{kind="pipeline",severity="medium"} == 1'))
