"""Every query of every panel, every variable and every link, against a Prometheus that scraped the real thing."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.grafana import site as real
from tests.grafana.asking import Prometheus, Series, Span, filled
from tests.grafana.dashboards import FOLDER, Panel, links, load, queries, shipped, variable_query, variables
from tests.grafana.render import page
from tests.programs import free_port, program

PACE = 60.0
"""Times as fast as the morning was: its first minutes on the wire within the test."""
FRAMES = 20_000
CONFIGURATION = "name: sample\nclock: {{ntp: '127.0.0.1:{server}'}}\n"
CLOCK = 60.0
"""An agent asks a time server within half a minute of its start, at random."""
WITHOUT_CAPTURE = {
    ("nigrani-pipeline", "Agents"),
    ("nigrani-pipeline", "Packets dropped"),
}
"""Panels some of whose queries need an agent that captures, which only root may have here."""


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Prometheus]:
    """It has scraped agent and detector before, while and after the morning was judged, and cases were worked on."""
    folder = tmp_path_factory.mktemp("site")
    ports = {"nigrani-detector": free_port(), "nigrani-agent": free_port()}
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(real.time_server())
        agent = stack.enter_context(watching(folder, ports["nigrani-agent"], server))
        asked = stack.enter_context(real.prometheus(program("prometheus", request), folder, ports))
        asked.page = f"http://127.0.0.1:{free_port()}"
        detector = stack.enter_context(judged(folder, ports["nigrani-detector"], asked.page))
        real.until(lambda: bool(asked.now("nigrani_agent_info")), 20, folder / "agent.log", agent)
        reconfigure(folder, agent, server)
        log = folder / "detector.log"
        real.until(lambda: b" open cases" in log.read_bytes(), 60, log, detector)
        real.work(folder / "detector")
        time.sleep(6)  # so that rates and recorded rules have what came last
        yield asked


@contextlib.contextmanager
def judged(folder: Path, port: int, page: str) -> Iterator[subprocess.Popen[bytes]]:
    """`nigrani up` over the sample morning, with its page."""
    words: list[str | Path] = ["up", "--state", folder / "detector", "--agent-config", real.MORNING / "agent.yaml"]
    words += ["--config", real.MORNING / "detector.yaml", "--set", f"metrics.listen=127.0.0.1:{port}"]
    words += ["--set", f"page.listen={page.removeprefix('http://')}"]
    words += ["--replay", real.MORNING / "capture.pcap", real.MORNING / "ai-gateway.log"]
    with real.ended(real.nigrani(folder / "detector", *words, log=folder / "detector.log")) as process:
        yield process


@contextlib.contextmanager
def watching(folder: Path, port: int, server: int) -> Iterator[subprocess.Popen[bytes]]:
    """An agent that captures what is sent on a cable, reads a log, asks the time, and cannot reach its broker."""
    stop, log = threading.Event(), folder / "gateway.log"
    log.write_text("".join(real.line_now(line) + "\n" for line in real.gateway_lines()[:50]) + "this is no line\n")
    with contextlib.ExitStack() as stack:
        settings = [f"metrics.listen=127.0.0.1:{port}"]
        settings += [
            f"logs.files.gateway={{path: {log}, format: ai-gateway, beginning: true}}",
            "kafka.servers=[127.0.0.1:9]",
        ]
        if real.can_capture():
            near, far = stack.enter_context(real.wire(f"ngr{os.getpid()}"))
            settings.append(f"interfaces=[{near}]")
            player = threading.Thread(target=real.play, args=(real.MORNING / "capture.pcap", far, PACE, stop, FRAMES))
            player.start()
            stack.callback(player.join)
        stack.callback(stop.set)
        words: list[str | Path] = ["agent", "run", "--config", folder / "agent.yaml"]
        words += [word for one in settings for word in ("--set", one)]
        (folder / "agent.yaml").write_text(CONFIGURATION.format(server=server))
        yield stack.enter_context(real.ended(real.nigrani(folder / "agent", *words, log=folder / "agent.log")))


def reconfigure(folder: Path, agent: subprocess.Popen[bytes], server: int) -> None:
    """Name an archive, as a person does."""
    (folder / "agent.yaml").write_text(CONFIGURATION.format(server=server) + "privacy: {ae_titles: [ARCHIVE]}\n")
    agent.send_signal(signal.SIGHUP)


def span() -> Span:
    now = time.time()
    return Span(now - 60, now, points=60, scrape=1.0)


PANELS = [(path, panel) for path in shipped() for panel in load(path)["panels"] if panel.get("targets")]


@pytest.mark.parametrize(("path", "panel"), PANELS, ids=[f"{path.stem}-{panel['title']}" for path, panel in PANELS])
def test_a_panel_has_data(path: Path, panel: Panel, prometheus: Prometheus) -> None:
    if (path.stem, panel["title"]) in WITHOUT_CAPTURE and not real.can_capture():
        pytest.skip("needs root, to make a cable and capture on it")
    for target, (_, expr) in zip(panel["targets"], queries(panel), strict=True):
        instant = bool(target.get("instant"))
        while not (found := answered(prometheus, filled(expr, load(path), span().of(panel)), instant=instant)):
            assert "clock_offset" in expr, expr
            assert time.monotonic() < prometheus.since + CLOCK, expr
            time.sleep(0.5)
        assert all(one.points for one in found)


def answered(prometheus: Prometheus, expr: str, *, instant: bool) -> list[Series]:
    return prometheus.now(expr) if instant else prometheus.over(expr, span())


VARIABLES = [(path, one) for path in shipped() for one in variables(load(path)).values() if variable_query(one)]


@pytest.mark.parametrize(("path", "variable"), VARIABLES, ids=[f"{path.stem}-{one['name']}" for path, one in VARIABLES])
def test_a_variable_has_values(path: Path, variable: dict[str, object], prometheus: Prometheus) -> None:
    asked = variable_query(variable)
    assert asked
    assert prometheus.label_values(filled(asked[0], load(path), span()), asked[1])


SUBJECTS = variables(load(next(path for path in shipped() if path.stem == "nigrani-device")))["family"]["options"]


@pytest.mark.parametrize("value", [one["value"] for one in SUBJECTS], ids=[one["text"] for one in SUBJECTS])
def test_each_subject_has_its_series(value: str, prometheus: Prometheus) -> None:
    assert prometheus.now(f'nigrani_cases_open{{kind=~"{value}"}}')


def value(prometheus: Prometheus, uid: str, title: str) -> float:
    """What a panel with one value shows."""
    dashboard = load(FOLDER / f"{uid}.json")
    panel = next(panel for panel in dashboard["panels"] if panel["title"] == title)
    (answer,) = prometheus.now(filled(panel["targets"][0]["expr"], dashboard, span()))
    return answer.points[0][1]


@pytest.mark.parametrize(
    ("uid", "title", "low", "high"),
    [
        ("nigrani-soc", "Open, high or critical", 3, 30),
        ("nigrani-soc", "Oldest unacknowledged", 1, 120),
        ("nigrani-soc", "Reports to decide or send", 2, 60),
        ("nigrani-soc", "False-alarm budget used", 0.1, 0.5),
        ("nigrani-soc", "Blind spots", 0, 0),
        ("nigrani-soc", "Last rules read", 1, 1),
        ("nigrani-soc", "Configurations changed", 0.9, 2),
        ("nigrani-ai", "Open AI cases", 1, 5),
        ("nigrani-ai", "Lines not understood", 0, 2),
        ("nigrani-device", "Risk of these devices", 100, 5000),
        ("nigrani-pipeline", "Agents down", 0, 0),
        ("nigrani-pipeline", "Detectors up", 1, 1),
        ("nigrani-pipeline", "Lost, in the chosen time", 0, 0),
        ("nigrani-pipeline", "Case store", 1, 1),
        ("nigrani-quality", "Anomalies in 7 days", 2, 10),
        ("nigrani-quality", "Budget a week", 7, 7),
        ("nigrani-quality", "Device-minutes learnt", 300, 800),
    ],
)
def test_a_panel_tells_what_happened(prometheus: Prometheus, uid: str, title: str, low: float, high: float) -> None:
    assert low <= value(prometheus, uid, title) <= high


def test_reports_are_due_in_hours(prometheus: Prometheus) -> None:
    dashboard = load(FOLDER / "nigrani-soc.json")
    panel = next(panel for panel in dashboard["panels"] if panel["title"] == "Next report is due in")
    answers = prometheus.now(filled(panel["targets"][0]["expr"], dashboard, span()))
    left = {one.labels["authority"]: one.points[0][1] / 3600 for one in answers}
    assert left.keys() == {"cert-in", "dpdp"}
    assert left["cert-in"] < left["dpdp"] <= 72


def test_the_renderer_draws_every_panel(prometheus: Prometheus) -> None:
    for path in shipped():
        drawn = page(load(path), prometheus, span())
        assert "not Grafana" in drawn
        assert drawn.count('class="p"') == sum(panel["type"] != "row" for panel in load(path)["panels"])
        assert ">NaN<" not in drawn


def fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


LINKS = sorted({(path.stem, url) for path in shipped() for panel in load(path)["panels"] for url in links(panel)})
ON_THE_PAGE = [(uid, url) for uid, url in LINKS if url.startswith("${page:raw}")]


@pytest.mark.parametrize(("uid", "url"), ON_THE_PAGE, ids=[f"{uid}-{url.partition('}')[2]}" for uid, url in ON_THE_PAGE])
def test_a_link_leads_to_a_page(prometheus: Prometheus, uid: str, url: str) -> None:
    """With the values that Grafana would put in, here of the first open case."""
    case = json.loads(fetch(f"{prometheus.page}/api/cases"))["items"][0]
    given = {"severity": case["severity"], "kind": case["kinds"][0], "device_class": case["device_class"]}
    url = re.sub(r"\$\{__field\.labels\.(\w+)\}", lambda match: given.get(match[1], "false-alarm"), url)
    url = url.replace("${__value.raw}", given["severity" if "severity=" in url else "kind"])
    url = re.sub(r"\$\{__(from|to):date:iso\}", "2026-11-21T00:00:00Z", url)
    assert "<h1" in fetch(filled(url, load(FOLDER / f"{uid}.json"), span(), {"page": prometheus.page}))


@pytest.mark.parametrize(
    ("metric", "label", "asks"),
    [
        ("nigrani_cases_open", "kind", "kind"),
        ("nigrani_cases_open", "severity", "severity"),
        ("nigrani_risk", "device_class", "class"),
    ],
)
def test_what_a_series_counts_is_what_its_link_shows(prometheus: Prometheus, metric: str, label: str, asks: str) -> None:
    found = prometheus.now(f"sum by ({label}) ({metric}) > 0")
    assert found
    for one in found:
        url = f"{prometheus.page}/api/cases?state=active&{asks}={one.labels[label]}"
        assert json.loads(fetch(url))["items"], f"{metric} {one.labels}: no case"
