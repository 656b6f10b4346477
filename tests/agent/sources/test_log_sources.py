from __future__ import annotations

import json
import socket
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from agent.protocol import Fact
from agent.sources.log_sources import GAUGES, REASONS, LogSources
from agent.sources.settings import File, Folder, Journal, Logs, Syslog
from nigrani.service.errors import Problem
from nigrani.stream.memory import MemoryBus

DATA = Path(__file__).parents[2] / "data" / "logs"
ATNA = (DATA / "atna_dicom.xml").read_bytes().rstrip()


def read(sources: LogSources, count: int, within: float = 10.0) -> list[Fact]:
    facts: list[Fact] = []
    end = time.monotonic() + within
    while len(facts) < count and time.monotonic() < end:
        facts += sources.read(0.05)
    return facts


def settings(tmp_path: Path) -> Logs:
    entry = {
        "__CURSOR": "s=1",
        "__REALTIME_TIMESTAMP": "1790000000123456",
        "MESSAGE": 'INFO:     10.0.0.1:5 - "POST /v1/embeddings HTTP/1.1" 200 OK',
    }
    script = tmp_path / "journalctl.py"
    script.write_text(f"import time\nprint({json.dumps(entry)!r}, flush=True)\ntime.sleep(60)\n")
    return Logs(
        files={
            "orthanc": File(str(DATA / "orthanc.log"), "orthanc", "UTC", beginning=True),
            "triton": File(str(DATA / "triton_trace.json"), "triton-trace", beginning=True),
            "gateway": File(str(tmp_path / "gateway.log"), "ai-gateway"),
        },
        journal={"vllm": Journal(("vllm.service",), "ai-http-access", command=(sys.executable, str(script)))},
        syslog={"pacs": Syslog(transport="udp", listen="127.0.0.1:0")},
        folders={"models": Folder(str(tmp_path / "models"))},
    )


def test_all_of_them_together(tmp_path: Path) -> None:
    sources = LogSources(settings(tmp_path), tmp_path / "state", MemoryBus())
    listener = sources._lines["pacs"].source
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(ATNA, ("127.0.0.1", listener.port))  # type: ignore[attr-defined]
    facts = read(sources, 22)
    assert Counter(fact.dataset for fact in facts) == {"dicom.audit": 18, "ai.inference": 3, "ai.model_access": 1}
    assert 1_790_000_000_123_456 in {fact.when for fact in facts}
    counters = sources.counters()
    assert set(counters) == {"orthanc", "triton", "gateway", "vllm", "pacs", "models"}
    assert (counters["orthanc"]["lines"], counters["orthanc"]["facts"], counters["orthanc"]["quiet_lines"]) == (24, 17, 7)
    assert counters["gateway"]["absent"] == 1
    assert {name for each in counters.values() for name in each} >= GAUGES
    sources.close()


def test_a_restart_goes_on_where_facts_were_safe(tmp_path: Path) -> None:
    logs = settings(tmp_path)
    logs = Logs(files={"gateway": logs.files["gateway"]})
    line = json.dumps({"msec": 1_790_000_000.5, "client": "10.0.0.1", "uri": "/"}) + "\n"
    sources = LogSources(logs, tmp_path / "state", MemoryBus())
    with (tmp_path / "gateway.log").open("w") as file:
        file.write(line)
        file.flush()
        assert len(sources.read()) == 1
        sources.save()
        file.write(line * 2)
        file.flush()
        assert len(sources.read()) == 2  # and the power fails
    sources.close()
    kept = tmp_path / "state" / "gateway.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    before = kept.stat().st_mtime_ns
    sources = LogSources(logs, tmp_path / "state", MemoryBus())
    assert len(sources.read()) == 2
    sources.save()
    assert kept.stat().st_mtime_ns != before
    before = kept.stat().st_mtime_ns
    sources.save()
    assert kept.stat().st_mtime_ns == before
    sources.close()


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1]", b'{"of": "x", "state": {}}', b'{"of": 1}', b"\xff" * 9, b"[" * 99_999]
)
def test_a_state_that_is_none_or_of_another_begins_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "orthanc.json").write_bytes(content)
    sources = LogSources(Logs(files={"orthanc": settings(tmp_path).files["orthanc"]}), tmp_path, MemoryBus())
    assert len(sources.read()) == 17
    sources.close()


def test_unreadable_lines_are_counted_and_a_few_reasons_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "x.log"
    path.write_text("RAO^ANITA %s %n {0}\n" * 20)
    sources = LogSources(Logs(files={"x": File(str(path), "orthanc", beginning=True)}), tmp_path / "state", MemoryBus())
    assert sources.read() == []
    assert sources.counters()["x"]["unreadable_lines"] == 20
    assert caplog.text.count("x: a line of 19 bytes is not read as orthanc: no line of Orthanc's log") == REASONS
    assert "ANITA" not in caplog.text
    sources.close()


def test_a_disk_without_room_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "state").write_text("a file where a folder should be")
    sources = LogSources(Logs(files={"orthanc": settings(tmp_path).files["orthanc"]}), tmp_path / "state", MemoryBus())
    for _ in range(3):
        sources.save()
    assert caplog.text.count("after a restart lines come again or are lost") == 1
    sources.close()


@pytest.mark.parametrize(
    ("logs", "message"),
    [
        (Logs(journal={"b": Journal(("x",), "orthanc", command=("/nowhere",))}), "b: /nowhere: No such file"),
        (Logs(syslog={"c": Syslog(transport="udp", listen="203.0.113.1:5514")}), "c: cannot listen"),
    ],
)
def test_what_cannot_be_set_up_is_said_with_its_name(tmp_path: Path, logs: Logs, message: str) -> None:
    with pytest.raises(Problem, match=message):
        LogSources(logs, tmp_path, MemoryBus())


def test_waiting_is_bounded_and_ends_when_something_comes(tmp_path: Path) -> None:
    sources = LogSources(Logs(syslog={"pacs": Syslog(transport="udp", listen="127.0.0.1:0")}), tmp_path, MemoryBus())
    begin = time.monotonic()
    assert sources.read(0.05) == []
    assert time.monotonic() - begin < 5
    assert sources.counters()["pacs"]["lines"] == 0
    sources.save()
    assert list(tmp_path.iterdir()) == []
    sources.close()
