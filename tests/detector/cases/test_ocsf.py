"""Findings as OCSF has them: in, and out again with how their cases stand."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from detector.alert import Alert, Reason
from detector.cases.case import STATES, VERDICTS, Case
from detector.cases.ocsf import MAX_FINDING, exported, facts
from tests.detector.cases.made import NOW, alert, finding

REQUIRED = {
    "": ("activity_id", "category_uid", "class_uid", "type_uid", "severity_id", "time", "metadata", "finding_info"),
    "metadata": ("product", "version"),
    "metadata.product": ("name", "vendor_name"),
    "finding_info": ("uid",),
    "finding_info.analytic": ("type_id",),
    "finding_info.attacks": ("technique",),
    "finding_info.attacks.technique": ("uid",),
    "finding_info.related_events": ("uid",),
    "anomaly_analyses": ("analysis_targets", "anomalies"),
    "anomaly_analyses.analysis_targets": ("name",),
    "anomaly_analyses.anomalies": ("observation_parameter", "observations"),
    "anomaly_analyses.anomalies.observations": ("value",),
    "anomaly_analyses.baselines": ("observation_parameter", "observations"),
    "anomaly_analyses.baselines.observations": ("value",),
}
"""What the schema's events/findings/detection_finding.json, what that extends, and the objects in it demand."""
ENUMERATIONS = {
    "activity_id": {1: "Create", 2: "Update", 3: "Close"},
    "severity_id": {1: "Informational", 2: "Low", 3: "Medium", 4: "High", 5: "Critical", 6: "Fatal"},
    "status_id": {1: "New", 2: "In Progress", 3: "Suppressed", 4: "Resolved", 5: "Archived", 6: "Deleted"},
    "verdict_id": {
        0: "Unknown", 1: "False Positive", 2: "True Positive", 3: "Disregard", 4: "Suspicious", 5: "Benign", 6: "Test",
        7: "Insufficient Data", 8: "Security Risk", 9: "Managed Externally", 10: "Duplicate",
    },
}  # fmt: skip
SIBLINGS = {"activity_id": "activity_name", "severity_id": "severity", "status_id": "status", "verdict_id": "verdict"}


def check(whole: dict[str, Any]) -> None:
    """Hold a finding against the schema."""
    for path, names in REQUIRED.items():
        for place in places(whole, path.split(".") if path else []):
            assert set(names) <= set(place), path
    assert (whole["class_uid"], whole["category_uid"]) == (2004, 2)
    assert whole["type_uid"] == 200_400 + whole["activity_id"]
    for name, values in ENUMERATIONS.items():
        if name in whole:
            assert whole.get(SIBLINGS[name], values[whole[name]]) == values[whole[name]]
    assert whole["finding_info"]["analytic"]["type_id"] in range(1, 7)


def places(value: Any, path: list[str]) -> list[Any]:
    """All objects at a path, through lists."""
    if isinstance(value, list):
        return [place for one in value for place in places(one, path)]
    if not path:
        return [value]
    return places(value[path[0]], path[1:]) if path[0] in value else []


def full() -> Alert:
    made = alert(peer="ip:b")
    made.reasons = [Reason("ports", 41.0, 2.0, 6.0, 10_000, own=True, minutes=5000)]
    made.attack, made.atlas, made.matrix, made.events = ["T1046"], ["AML.T0024"], "ATT&CK v19", ["e1", "e2"]
    return made


def case(**changes: Any) -> Case:
    made = Case(
        number=17, title="t", severity="high", state="open", detected=NOW, first=NOW, last=NOW, updated=NOW, source="finding"
    )
    return structs.replace(made, **changes)


def test_an_alert_is_a_detection_finding() -> None:
    whole = full().ocsf()
    check(whole)
    assert len(places(whole, ["anomaly_analyses", "anomalies", "observations"])) == 1


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("verdict", ["", *VERDICTS])
def test_what_is_exported_is_one_too(state: str, verdict: str) -> None:
    line = msgspec.json.encode(full().ocsf())
    whole = msgspec.json.decode(exported(line, case(state=state, verdict=verdict, assignee="asha"), "because"))
    check(whole)
    assert whole["metadata"]["profiles"] == ["incident"]
    assert (whole["assignee"], whole["comment"], whole["unmapped"]["case"]) == ({"name": "asha"}, "because", 17)
    assert whole["status"] == {"open": "New", "acknowledged": "In Progress", "closed": "Resolved"}[state]


def test_without_a_case_it_is_suppressed() -> None:
    whole = msgspec.json.decode(exported(finding(), None))
    check(whole)
    assert (whole["status_id"], whole["is_alert"]) == (3, False)
    assert "verdict_id" not in whole


def test_facts_are_read_back() -> None:
    logged = datetime(2026, 3, 2, 9, tzinfo=UTC)
    found = facts(finding("port_scan", "ip:a", peer="ip:b", level="high", logged=logged))
    assert (found.kind, found.title, found.severity, found.device, found.peer) == (
        "port_scan",
        "Port scan",
        4,
        "ip:a",
        "ip:b",
    )
    assert (found.zone, found.device_class, found.risk, found.anomaly) == ("imaging", "pacs", 60, False)
    assert found.when - found.first == 30_000
    assert found.detected == int(logged.timestamp() * 1000)
    assert facts(finding("anomaly-dns")).anomaly


def test_the_peer_is_the_other_end() -> None:
    made = alert(device="ip:b")
    made.about = ["ip:a → ip:b port 104 (imaging)", "calling AE x"]
    assert facts(msgspec.json.encode(made.ocsf())).peer == "ip:a"
    made.about = ["names under x.test"]
    assert facts(msgspec.json.encode(made.ocsf())).peer == ""


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"class_uid": 2001}, "no Detection Finding"),
        ({"metadata": {"uid": ""}}, "length >= 1"),
        ({"metadata": {"uid": "x" * 201}}, "length <= 200"),
        ({"severity_id": 7}, "<= 6"),
        ({"time": -1}, ">= 0"),
        ({"time": 10**18}, "<="),
        ({"finding_info": {}}, "of no kind"),
    ],
)
def test_what_is_no_finding_is_refused(change: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        facts(msgspec.json.encode(alert().ocsf() | change))


def test_what_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="are the most"):
        facts(bytes(MAX_FINDING + 1))


LINE = msgspec.json.encode(full().ocsf())


@given(at=st.integers(0, len(LINE)), cut=st.integers(0, 40), put=st.binary(max_size=20))
def test_hostile_lines_are_facts_or_refused(at: int, cut: int, put: bytes) -> None:
    try:
        found = facts(LINE[:at] + put + LINE[at + cut :])
    except ValueError:
        return
    assert 1 <= found.severity <= 5
    assert found.first <= found.when
    assert 0 <= found.risk <= 100
