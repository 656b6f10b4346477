"""What is known to have happened, held against the alerts."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from agent.privacy import Tokens
from detector.alert import Alert
from nigrani.commands.labels import EARLY, GRACE, Labels
from nigrani.service.errors import Problem
from nigrani.service.key import site_key

START = 1_772_438_400.0
LABELS = {
    "made": {"tool": "1"},
    "phases": [
        {"name": "learn", "start": START, "end": START + 1200, "what": "benign"},
        {"name": "benign", "start": START + 1200, "end": START + 1800, "what": "benign"},
        {"name": "attacks", "start": START + 1800, "end": START + 3600, "what": "attacks"},
    ],
    "attacks": [
        {
            "name": "port_scan", "attacker": "10.0.3.9", "attacker_name": "laptop", "target": "pacs",
            "start": START + 2000, "end": START + 2060, "what": "a scan",
        },
        {
            "name": "dns_tunnel", "attacker": "fd00::1", "attacker_name": "ws1", "target": "dns",
            "start": START + 3000, "end": START + 3100, "what": "a tunnel", "kinds": ["tunnel", "anomaly-dns"],
        },
    ],
    "hosts": [
        {"name": "laptop", "address": "10.0.3.9", "zone": "guests"},
        {"name": "ws1", "address": "fd00::1", "zone": "clinical"},
    ],
}  # fmt: skip


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NIGRANI_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def labels(state: Path, tmp_path: Path) -> Labels:
    path = tmp_path / "labels.yaml"
    path.write_text(yaml.safe_dump(LABELS))
    return Labels.load(path)


def device(state: Path, address: str) -> str:
    """The token that the agent gives an address at this site."""
    return Tokens(site_key(state / "site.key").value).of("ip", ipaddress.ip_address(address).packed)


def alert(device: str, at: float, title: str = "Port scan", slug: str = "port_scan") -> Alert:
    when = datetime.fromtimestamp(START + at, UTC)
    return Alert(
        id="i", kind="k", slug=slug, title=title, severity="high", device=device, when=when, first=when, source="rule"
    )


def test_nothing_found(labels: Labels) -> None:
    assert labels.verdict() == [
        "port_scan            by laptop   NOT FOUND",
        "dns_tunnel           by ws1      NOT FOUND",
        "0 alerts in 10 benign minutes that were not learnt from, 0 while learning",
    ]


def test_verdict(labels: Labels, state: Path) -> None:
    laptop, workstation = device(state, "10.0.3.9"), device(state, "fd00::1")
    labels.note(alert(laptop, 2030))
    labels.note(alert(laptop, 2040))
    labels.note(alert(laptop, 2050, "Network sweep", "port_scan"))
    labels.note(alert(workstation, 3050, "DNS tunnel", "tunnel"))
    labels.note(alert(workstation, 1500, "Unusual DNS questions", "anomaly-dns"))
    assert labels.verdict() == [
        "port_scan            by laptop   Port scan; Network sweep",
        "dns_tunnel           by ws1      DNS tunnel",
        "1 alerts in 10 benign minutes that were not learnt from, 0 while learning",
    ]


@pytest.mark.parametrize(
    ("at", "found"),
    [(2000 - EARLY - 1, False), (2000 - EARLY, True), (2030, True), (2060 + GRACE, True), (2060 + GRACE + 1, False)],
)
def test_an_alert_counts_while_the_attack_goes_on_or_soon_after(
    labels: Labels, state: Path, at: float, *, found: bool
) -> None:
    labels.note(alert(device(state, "10.0.3.9"), at))
    assert ("NOT FOUND" not in labels.verdict()[0]) == found


def test_another_device_or_a_stranger_does_not_count(labels: Labels, state: Path) -> None:
    labels.note(alert(device(state, "fd00::1"), 2030))
    labels.note(alert(device(state, "10.0.3.10"), 2030))
    labels.note(alert("10.0.3.9", 2030))
    assert "NOT FOUND" in labels.verdict()[0]


def test_another_kind_does_not_count_where_kinds_are_named(labels: Labels, state: Path) -> None:
    labels.note(alert(device(state, "fd00::1"), 3050, "Port scan", "port_scan"))
    assert "NOT FOUND" in labels.verdict()[1]
    labels.note(alert(device(state, "fd00::1"), 3050, "Unusual DNS questions", "anomaly-dns"))
    assert labels.verdict()[1].endswith("Unusual DNS questions")


def test_a_missing_file_is_told(state: Path, tmp_path: Path) -> None:
    with pytest.raises(Problem, match=r"none\.yaml: No such file or directory$"):
        Labels.load(tmp_path / "none.yaml")


BROKEN = {
    "not YAML": "[",
    "empty": "",
    "a list": "- a\n",
    "a text": "hello",
    "without attacks": "phases: []\nhosts: []\n",
    "without phases": "attacks: []\n",
    "a phase without a name": "attacks: []\nphases: [{start: 1}]\n",
    "a host without an address": "attacks: []\nphases: []\nhosts: [{name: a}]\n",
    "an address that is none": "attacks: []\nphases: []\nhosts: [{name: a, address: here}]\n",
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_what_is_no_labels_file_is_told_in_one_sentence(state: Path, tmp_path: Path, text: str) -> None:
    path = tmp_path / "labels.yaml"
    path.write_text(text)
    with pytest.raises(Problem, match=r"labels\.yaml: not the labels of a recording: "):
        Labels.load(path)
