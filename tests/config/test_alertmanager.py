"""config/alertmanager: who is told of each alert, what is told together, and what keeps others quiet."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.config.test_prometheus import ALERTS, CASES
from tests.programs import program

PATH = Path(__file__).parents[2] / "config" / "alertmanager" / "alertmanager.yml"
CONFIG: dict[str, Any] = yaml.safe_load(PATH.read_text())
RECEIVERS = {
    "NigraniWatchdog": "watchdog",
    **dict.fromkeys(
        (
            "NigraniCaseOpen",
            "NigraniFindingsUnstored",
            "NigraniCaseUnacknowledged",
            "NigraniDetectorDown",
            "NigraniEventsLost",
        ),
        "on-call",
    ),
    **dict.fromkeys(("NigraniReportDueSoon", "NigraniReportDueNow", "NigraniReportOverdue"), "on-call"),
    **dict.fromkeys(("NigraniAgentDown", "NigraniRulesRefused", "NigraniBaselineOld", "NigraniScoreDrift"), "by-day"),
}
"""Some of them by name, so that a route that is lost shows; the others by their severity."""
BY_SEVERITY = {"critical": "on-call", "high": "on-call", "medium": "by-day", "low": "by-day", "none": "watchdog"}


def amtool(request: pytest.FixtureRequest, *words: str) -> str:
    done = subprocess.run([program("amtool", request), *words], capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def routed(request: pytest.FixtureRequest, **labels: str) -> str:
    pairs = [f"{name}={value}" for name, value in labels.items()]
    return amtool(request, "config", "routes", "test", f"--config.file={PATH}", *pairs)


def test_the_configuration_is_sound(request: pytest.FixtureRequest) -> None:
    assert "SUCCESS" in amtool(request, "check-config", str(PATH))


@pytest.mark.parametrize("name", ALERTS)
def test_each_alert_reaches_somebody(request: pytest.FixtureRequest, name: str) -> None:
    labels = CASES[name]["fires"][0]["labels"]
    expected = RECEIVERS.get(name, BY_SEVERITY[labels["severity"]])
    assert routed(request, alertname=name, **labels) == expected


@pytest.mark.parametrize(("severity", "receiver"), [("critical", "on-call"), ("high", "on-call"), ("medium", "by-day")])
def test_findings_are_routed_by_their_severity(request: pytest.FixtureRequest, severity: str, receiver: str) -> None:
    found = routed(request, alertname="NigraniCaseOpen", about="findings", site="a", severity=severity, kind="port_scan")
    assert found == receiver


def test_what_is_not_foreseen_goes_to_the_page(request: pytest.FixtureRequest) -> None:
    assert routed(request, alertname="SomethingElse", site="a") == "page"


def test_every_receiver_but_the_watchdogs_tells_the_page() -> None:
    for receiver in CONFIG["receivers"]:
        urls = [hook["url"] for hook in receiver.get("webhook_configs", [])]
        assert urls == ([] if receiver["name"] == "watchdog" else ["http://127.0.0.1:9466/api/alertmanager"])


def test_a_storm_is_few_messages() -> None:
    """No group is by instance or kind: what is in hundreds of copies is one message."""
    for route in (CONFIG["route"], *CONFIG["route"]["routes"]):
        assert not {"instance", "kind", "..."} & set(route.get("group_by", []))
    assert CONFIG["route"]["repeat_interval"] == "4h", "sooner than the six hours for CERT-In"


def matches(matchers: list[str], labels: dict[str, str]) -> bool:
    """As Alertmanager matches; what is not there is empty."""
    import re  # noqa: PLC0415 - for these matchers alone

    for matcher in matchers:
        name, operator, value = re.fullmatch(r'(\w+) (=~|!=|=) "(.*)"', matcher).groups()  # type: ignore[union-attr]
        label = labels.get(name, "")
        holds = {"=": label == value, "!=": label != value, "=~": bool(re.fullmatch(value, label))}[operator]
        if not holds:
            return False
    return True


def inhibits(source: dict[str, str], target: dict[str, str]) -> bool:
    return any(
        matches(rule["source_matchers"], source)
        and matches(rule["target_matchers"], target)
        and all(source.get(label, "") == target.get(label, "") for label in rule["equal"])
        for rule in CONFIG["inhibit_rules"]
    )


def alert(name: str, **more: str) -> dict[str, str]:
    return {"alertname": name, **CASES[name]["fires"][0]["labels"], **more}


def test_a_dead_agent_silences_its_own_symptoms_and_nobody_elses() -> None:
    dead = alert("NigraniAgentDown")
    assert inhibits(dead, alert("NigraniForwardStalled"))
    assert not inhibits(dead, alert("NigraniForwardStalled", instance="other"))
    assert not inhibits(dead, alert("NigraniForwardStalled", site="b"))
    assert not inhibits(dead, dead)
    assert not inhibits(dead, alert("NigraniCaseOpen"))
    assert inhibits(alert("NigraniAgentsDown"), dead)


def test_a_dead_detector_silences_what_it_told_and_no_other_detector() -> None:
    dead = alert("NigraniDetectorDown")
    assert inhibits(dead, alert("NigraniRulesRefused"))
    assert inhibits(dead, alert("NigraniCaseStoreDown"))
    assert not inhibits(dead, alert("NigraniRulesRefused", instance="other"))
    assert not inhibits(dead, alert("NigraniCaseOpen"))


def test_the_more_severe_of_a_kind_silences_the_less_severe() -> None:
    critical, high, medium = (alert("NigraniCaseOpen", severity=level) for level in ("critical", "high", "medium"))
    assert inhibits(critical, high)
    assert inhibits(critical, medium)
    assert inhibits(high, medium)
    assert not inhibits(medium, high)
    assert not inhibits(critical, alert("NigraniCaseOpen", severity="medium", kind="other_kind"))
    assert not inhibits(critical, alert("NigraniCaseOpen", severity="medium", site="b"))


def test_a_report_silences_no_other_authoritys_and_no_finding() -> None:
    overdue = alert("NigraniReportOverdue", authority="cert-in")
    assert inhibits(overdue, alert("NigraniReportDueSoon", authority="cert-in"))
    assert not inhibits(overdue, alert("NigraniReportDueSoon", authority="dpdp"))
    assert not inhibits(overdue, alert("NigraniCaseUnacknowledged"))


def test_nothing_silences_itself_or_the_watchdog() -> None:
    for name in ALERTS:
        for cases in CASES[name]["fires"]:
            labels = {"alertname": name, **cases["labels"]}
            assert not inhibits(labels, labels), name
            assert not inhibits(labels, alert("NigraniWatchdog")), name
