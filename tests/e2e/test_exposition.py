"""After much traffic, hostile and seeded with names, no label leaves its closed list and there are no more series."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent import service as service_module
from agent.config import AgentConfig, Privacy, TokenMap
from agent.dispatch import Dispatch
from agent.reload import Reload
from agent.replay import Replay, open_inputs
from agent.service import AgentService
from agent.sources.settings import File, Folder, Logs, Syslog
from agent.standing import Standing
from detector.config import Baseline, Bus, DetectorConfig
from detector.page.metrics import PageMetrics
from detector.setup import make_service, start_cases
from nigrani import metrics_reference
from nigrani.service.endpoint import ENDS, Connections
from nigrani.service.exposition import Registry, exposition
from nigrani.service.process import Process
from nigrani.stream.events import AgentStatus
from nigrani.stream.spool import Spool
from tests import canary
from tests.agent.test_service import Quiet
from tests.programs import program

DATA = Path(__file__).parents[1] / "data"
CAPTURES = [DATA / "morning" / "capture.pcap", *sorted(DATA.glob("dicom/*.pcap")), *sorted(DATA.glob("hl7/*.pcap"))]
RECORDED = [DATA / "morning" / "ai-gateway.log", *(path for path in sorted(DATA.glob("logs/*")) if path.suffix != ".md")]
SAMPLE = re.compile(r"^([a-z_:]+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
TELLING = re.compile(
    r"\d+\.\d+\.\d+\.\d+|[0-9a-f]{2}(:[0-9a-f]{2}){5}|\b(ip|ae|user|host|mac|study|key|name|app):[0-9a-f]{8,}|/|@|::"
)
"""An address, a token, a path, an account."""
OPEN = {"version": r"\d+\.\d+\S*", "fingerprint": r"[0-9a-f]{12}", "le": r"\+Inf|[\d.e+-]+", "source": r"[a-z0-9_-]{1,32}"}
"""What has other values than as shipped: the release, the rules, buckets, and the sources that the configuration names."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        made = tmp_path_factory.mktemp("exposition")
        patch.setenv("NIGRANI_STATE", str(made / "state"))
        patch.setattr(service_module, "LiveCapture", Quiet)
        yield made


@pytest.fixture(scope="module")
def agent(folder: Path) -> str:
    """The exposition of an agent that has seen all of it; its spool is the detector's bus."""
    (folder / "models").mkdir()
    (folder / "models" / f"{canary.PATIENT}.bin").write_bytes(b"x")
    (folder / "seeded.pcap").write_bytes(canary.capture())
    files = {}
    for form, lines in canary.logs().items():
        path = folder / f"{form}.log"
        path.write_text("\n".join([*lines, *canary.broken(lines), ""]), errors="surrogateescape")
        files[form] = File(path=str(path), format=form, beginning=True)
    listener = {"pacs": Syslog(listen="127.0.0.1:0", transport="udp")}
    logs = Logs(files=files, syslog=listener, folders={"models": Folder(path=str(folder / "models"))})
    config = AgentConfig(name="a", interfaces=("x0",), privacy=Privacy(map=TokenMap(key="ab" * 32)), logs=logs)
    with Spool.open(folder / "bus") as spool:
        service = AgentService(config, spool)
        inputs = open_inputs([*CAPTURES, folder / "seeded.pcap", *RECORDED])
        Replay(inputs.sources, service._pipeline).run()
        service.sink.flush()
        for _ in range(20):
            service.step()
        registry = Registry()
        dispatch = Dispatch(config, folder / "bus")
        for collector in (
            service.registry, dispatch, Reload(config, AgentConfig, ()), Standing(service, dispatch.trouble),
            Connections(dict.fromkeys(ENDS, 0)), Process(folder),
        ):  # fmt: skip
            registry.register(collector)
        text = exposition(registry).decode()
        service.close()
    return text


@pytest.fixture(scope="module")
def detector(folder: Path, agent: str) -> str:
    """The exposition of a detector that has judged what that agent made, with cases."""
    config = DetectorConfig(bus=Bus(path=folder / "bus"), baseline=Baseline(learn_minutes=20))
    service = make_service(config)
    cases = start_cases(config, service)
    assert cases is not None
    while service.lag():
        service.step()
    service.finish()
    assert service.alerts > 10
    registry = Registry()
    page = PageMetrics(None)
    for collector in (service.metrics.registry, page, Connections(dict.fromkeys(ENDS, 0)), Process(folder)):
        registry.register(collector)
    assert service.knows
    service.step()
    text = exposition(registry).decode()
    service.close()
    cases.close()
    return text


@pytest.fixture(params=["agent", "detector"])
def scraped(request: pytest.FixtureRequest) -> tuple[str, str]:
    text: str = request.getfixturevalue(request.param)
    return request.param, text


def series(text: str) -> list[tuple[str, dict[str, str], float]]:
    return [(name, dict(LABEL.findall(labels)), float(value)) for name, labels, value in SAMPLE.findall(text)]


def test_all_of_it_was_seen(agent: str, detector: str) -> None:
    datasets = {
        labels["dataset"] for name, labels, value in series(detector) if name == "nigrani_events_total" and value > 0
    }
    assert len(datasets) >= 9
    assert AgentStatus.__struct_config__.tag in datasets
    found = {name: value for name, labels, value in series(detector) if not labels}
    assert found["nigrani_detector_windows_judged_total"] > 50
    assert found["nigrani_detector_window_p_value_count"] > 50
    assert sum(value for name, _, value in series(agent) if name == "nigrani_agent_log_unreadable_lines_total") > 10


def test_no_label_has_a_value_outside_its_list(scraped: tuple[str, str]) -> None:
    part, text = scraped
    rows = {row.name: row for row in (*getattr(metrics_reference, part)(), *metrics_reference.both())}
    for name, labels, _ in series(text):
        row = rows.get(name) or rows[re.sub(r"_(bucket|sum|count)$", "", name)]
        for label, value in labels.items():
            if label in OPEN and (label != "source" or part == "agent"):
                assert re.fullmatch(OPEN[label], value), (name, label, value)
            else:
                assert value in row.labels[label], (name, label, value)


def test_nothing_says_who_or_where(scraped: tuple[str, str]) -> None:
    _, text = scraped
    for _, labels, _ in series(text):
        for label, value in labels.items():
            assert not TELLING.search(value), (label, value)
    assert canary.leaks({"exposition": text.encode()}) == []


def test_there_are_no_more_series_than_before_anything_happened(scraped: tuple[str, str]) -> None:
    part, text = scraped
    stated = [*getattr(metrics_reference, part)(), *metrics_reference.both()]
    count = len(series(text))
    if part == "agent":
        logs = sum(row.series for row in stated if row.name.startswith("nigrani_agent_log_"))
        assert count <= sum(row.series for row in stated) + logs * (len(canary.logs()) + 1)
    else:
        assert count == sum(row.series for row in stated)
    assert count < metrics_reference.BOUND


def test_promtool_finds_no_fault(scraped: tuple[str, str], request: pytest.FixtureRequest) -> None:
    command = [program("promtool", request), "check", "metrics"]
    done = subprocess.run(command, input=scraped[1].encode(), capture_output=True, check=False, timeout=20)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")
