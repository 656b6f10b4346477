"""The main job on the recorded morning, as a user runs it."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
import yaml

from agent.privacy import Tokens
from detector.cases.store import Store
from detector.setup import load_knowledge
from nigrani.service.key import site_key

ROOT = Path(__file__).parents[2]
MORNING = ROOT / "tests" / "data" / "morning"
LABELS = yaml.safe_load((MORNING / "labels.yaml").read_text())


def nigrani(*words: str | Path, state: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "NIGRANI_STATE": str(state)}
    command = [sys.executable, "-m", "nigrani.cli", *map(str, words)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=ROOT, env=environment, check=False)
    if check:
        assert result.returncode in {0, 1}, result.stderr
    return result


@pytest.fixture(scope="module")
def morning(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path]:
    state = tmp_path_factory.mktemp("state")
    result = nigrani(
        "up", "--once", "--state", state, "--agent-config", MORNING / "agent.yaml", "--config", MORNING / "detector.yaml",
        "--set", "metrics.listen=127.0.0.1:0", "--set", "page.listen=127.0.0.1:0",
        "--labels", MORNING / "labels.yaml",
        "--replay", MORNING / "capture.pcap", MORNING / "ai-gateway.log", state=state,
    )  # fmt: skip
    return result, state


@pytest.fixture(scope="module")
def findings(morning: tuple[subprocess.CompletedProcess[str], Path]) -> list[dict[str, object]]:
    return [json.loads(line) for line in (morning[1] / "alerts.ndjson").read_text().splitlines()]


def phase(name: str) -> dict[str, float]:
    return next(item for item in LABELS["phases"] if item["name"] == name)


def test_it_ends_well_and_says_what_it_did(morning: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    result, _ = morning
    assert result.returncode == 0, result.stderr
    assert "NOT FOUND" not in result.stdout
    assert re.search(r"learnt from [\d,]+ events", result.stdout)
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("attack", LABELS["attacks"], ids=lambda attack: attack["name"])
def test_attack_is_told_with_its_device(
    attack: dict[str, object], morning: tuple[subprocess.CompletedProcess[str], Path]
) -> None:
    line = next(line for line in morning[0].stdout.splitlines() if line.startswith(f"── {attack['name']} "))
    assert "NOT FOUND" not in line


def test_no_alert_in_benign_time(findings: list[dict[str, object]]) -> None:
    start = phase("attacks")["start"] * 1000
    early = [finding["message"] for finding in findings if finding["time"] < start]
    assert early == []


def test_alerts_have_reasons_runbooks_and_ids_of_their_own(findings: list[dict[str, object]]) -> None:
    assert len({finding["metadata"]["uid"] for finding in findings}) == len(findings)
    for finding in findings:
        extra = finding["unmapped"]
        assert extra["because"] or extra["reasons"], finding["message"]
        assert extra["first_steps"], finding["message"]
        assert finding["remediation"]["references"], finding["message"]


CLASSES = {
    "dns": "network", "pacs": "pacs", "archive": "pacs", "fileserver": "file-server", "ct1": "modality", "mr1": "modality",
    "us1": "modality", "ws1": "workstation", "ws2": "workstation", "ws3": "workstation", "his": "his", "lis": "lab",
    "fhir": "fhir-server", "portal": "server", "triage": "ai-server", "broker": "server", "telemetry": "bedside",
    "televisit": "telemedicine", "phone": "telemedicine", "admin": "desktop",
}  # fmt: skip
"""Host → what the traffic tells of it; the router, the laptop of the attacks and the internet's hosts are unknown."""
NAMED = {"ai": "ai-server"}
"""What the traffic would call a server, and the site's configuration names."""


def tokens(state: Path) -> dict[str, str]:
    """Name of a host → its token."""
    keyed = Tokens(site_key(state / "site.key").value)
    return {host["name"]: keyed.of("ip", ipaddress.ip_address(host["address"]).packed) for host in LABELS["hosts"]}


def test_every_device_is_taken_for_what_it_is(
    morning: tuple[subprocess.CompletedProcess[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NIGRANI_STATE", str(morning[1]))
    classes = load_knowledge(morning[1] / "baseline.npz").classes
    found = {name: classes.of(token) for name, token in tokens(morning[1]).items()}
    expected = dict.fromkeys(found, "unknown") | CLASSES | {"ai": "server"}
    assert found == expected


def test_alerts_say_of_what_class_their_device_is(
    morning: tuple[subprocess.CompletedProcess[str], Path], findings: list[dict[str, object]]
) -> None:
    names = {token: name for name, token in tokens(morning[1]).items()}
    told = {}
    for finding in findings:
        [resource] = finding["resources"]
        told[names[resource["uid"]]] = name = finding["unmapped"]["device_class"]
        assert resource["labels"] == [f"class:{name}"]
    wanted = dict.fromkeys(told, "unknown") | CLASSES | NAMED
    assert told == {name: wanted[name] for name in told}
    assert {"ai", "ws1", "rogue"} <= told.keys()
    assert re.search(r"device  ip:\w+ \(ai, ai-server\)", morning[0].stdout)


def test_nothing_raw_reaches_the_bus_or_the_alerts(morning: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    _, state = morning
    kept = b"".join(path.read_bytes() for path in (state / "bus").rglob("*") if path.is_file())
    kept += (state / "alerts.ndjson").read_bytes() + morning[0].stdout.split("── ")[0].encode()
    for host in LABELS["hosts"]:
        assert host["address"].encode() + b'"' not in kept, host["name"]
        assert host["mac"].encode() not in kept, host["name"]
    assert b"TEST^PATIENT" not in kept
    assert b"PATIENT01" not in kept


def test_replay_in_one_process_gives_the_same_alerts(
    morning: tuple[subprocess.CompletedProcess[str], Path], tmp_path: Path
) -> None:
    """The learnt baseline, the same files: by the bus and without it, twice, byte for byte."""
    _, state = morning
    words = (
        "replay", MORNING / "capture.pcap", MORNING / "ai-gateway.log", "--config", MORNING / "agent.yaml",
        "--baseline", state / "baseline.npz", "--json",
    )  # fmt: skip
    first = nigrani(*words, state=state)
    second = nigrani(*words, state=state)
    assert first.returncode == 1
    assert first.stdout == second.stdout
    events = tmp_path / "events.ndjson"
    nigrani("agent", "replay", MORNING / "capture.pcap", MORNING / "ai-gateway.log", "--config", MORNING / "agent.yaml",
            "--events", events, state=state)  # fmt: skip
    scored = nigrani("detector", "score", events, "--baseline", state / "baseline.npz", "--json", state=state)
    assert scored.stdout == first.stdout


def test_rules_alone_say_so(tmp_path: Path) -> None:
    result = nigrani("replay", MORNING / "capture.pcap", state=tmp_path)
    assert "no baseline" in result.stderr
    assert "Port scan" in result.stdout


def test_metrics_are_served(tmp_path: Path) -> None:
    """Started as `make run` does, it stays up, serves the counts, and leaves on SIGTERM."""
    command = [
        sys.executable, "-m", "nigrani.cli", "up", "--state", tmp_path, "--agent-config", MORNING / "agent.yaml",
        "--config", MORNING / "detector.yaml", "--set", "metrics.listen=127.0.0.1:0", "--set", "page.listen=127.0.0.1:0",
        "--replay", MORNING / "capture.pcap", MORNING / "ai-gateway.log",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        url = re.search(r"http://\S+", process.stderr.readline())
        assert url is not None
        for line in process.stdout:
            if line.startswith("── judged"):
                break
        text = urllib.request.urlopen(url[0], timeout=10).read().decode()
        process.terminate()
        assert process.wait(timeout=20) == 0
    raised = [line for line in text.splitlines() if line.startswith("nigrani_alerts_total") and not line.endswith(" 0.0")]
    assert any('kind="port_scan"' in line for line in raised)
    assert "nigrani_baseline_learning 0.0" in text
    for host in LABELS["hosts"]:
        assert host["address"] not in text


def test_the_attacks_are_a_handful_of_cases(morning: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    """What one attacker did is one case, and what two did is two."""
    _, state = morning
    store = Store(state / "cases.db")
    cases, findings = store.cases().items, store.findings().items
    kinds = {kind: case.number for case in cases for kind in case.kinds}
    assert len(findings) == len((state / "alerts.ndjson").read_text().splitlines())
    assert 5 <= len(cases) <= 9
    rogue = {
        kinds[kind] for kind in ("port_scan", "association_reject_burst", "rogue_ae_title", "flood", "merges_and_deletions")
    }
    workstation = {kinds[kind] for kind in ("cfind_enumeration", "bulk_move_new_destination", "cleartext_leaving_site")}
    assert (len(rogue), len(workstation)) == (1, 1)
    alone = [kinds["tunnel"], kinds["rename_write_burst"], kinds["query_burst"]]
    assert len({*rogue, *workstation, *alone}) == 5
    tunnel = store.case(kinds["tunnel"])
    assert tunnel is not None
    assert tunnel.devices == 2, "whoever asks and the resolver that asks on"
    store.close_store()
    assert f"{len(cases)} open cases" in morning[0].stdout
