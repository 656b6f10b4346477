"""The alert on the wire is an OCSF Detection Finding, and on a terminal it answers what, where, why and what to do."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jsonschema
import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.alert import SEVERITY, Alert, Reason, alert_id, number
from detector.rule import LEVELS

WHEN = datetime(2026, 3, 2, 8, 1, 30, 500_000, UTC)

FINDING = {
    "type": "object",
    "required": [
        "activity_id", "category_uid", "class_uid", "finding_info", "metadata", "severity_id", "time", "type_uid",
    ],
    "properties": {
        "activity_id": {"const": 1},
        "category_uid": {"const": 2},
        "class_uid": {"const": 2004},
        "type_uid": {"const": 200401},
        "severity_id": {"enum": [1, 2, 3, 4, 5]},
        "severity": {"enum": ["Informational", "Low", "Medium", "High", "Critical"]},
        "status_id": {"const": 1},
        "time": {"type": "integer"},
        "message": {"type": "string"},
        "risk_score": {"type": "integer", "minimum": 0, "maximum": 100},
        "is_alert": {"const": True},
        "metadata": {
            "type": "object",
            "required": ["product", "version"],
            "properties": {
                "version": {"const": "1.5.0"},
                "uid": {"type": "string"},
                "product": {"required": ["vendor_name"], "properties": {"name": {"const": "nigrani"}}},
            },
        },
        "finding_info": {
            "type": "object",
            "required": ["title", "uid"],
            "properties": {
                "title": {"type": "string", "minLength": 1},
                "uid": {"type": "string", "minLength": 1},
                "desc": {"type": "string"},
                "created_time": {"type": "integer"},
                "first_seen_time": {"type": "integer"},
                "last_seen_time": {"type": "integer"},
                "analytic": {"required": ["type_id"], "properties": {"type_id": {"enum": [1, 4]}}},
                "attacks": {"type": "array", "items": {"type": "object", "required": ["technique", "version"]}},
                "related_events": {"type": "array", "items": {"type": "object", "required": ["uid"]}},
            },
        },
        "resources": {"type": "array", "items": {"type": "object", "required": ["uid"]}},
        "anomaly_analyses": {
            "type": "array",
            "minItems": 1,
            "items": {"type": "object", "required": ["analysis_targets", "anomalies", "baselines"]},
        },
        "remediation": {
            "required": ["desc"],
            "properties": {"references": {"type": "array", "items": {"type": "string"}}},
        },
        "unmapped": {"type": "object"},
    },
    "additionalProperties": False,
}  # fmt: skip
"""What OCSF 1.5 requires of class 2004 and of the objects in it, and the values of ours."""

REASON = Reason(feature="C-FIND requests", value=63, p50=1, p99=4, once_in=198, own=True, minutes=197)


def alert(**fields: Any) -> Alert:
    given: dict[str, Any] = {
        "id": "0badcafe", "kind": "11111111-2222", "slug": "cfind_enumeration", "severity": "high",
        "title": "Patient lists enumerated", "device": "ip:ws3", "zone": "clinical", "source": "rule",
        "when": WHEN, "first": WHEN - timedelta(seconds=50), "description": "What it is.",
        "because": ["31 C-FIND requests in 60 s"],
        "about": ["ip:ws3 → ip:pacs port 11112"], "reasons": [REASON],
        "false_positives": ["A migration runs.", "A study is exported."],
        "attack": ["T1213"], "atlas": ["AML.T0036"], "matrix": "ATT&CK v19, ATLAS 5.6.0",
        "first_steps": ["Ask first.", "Then look."], "runbook": "cfind-enumeration", "risk": 45, "events": ["e1", "e2"],
    }  # fmt: skip
    return Alert(**(given | fields))


def anomaly(**fields: Any) -> Alert:
    return alert(source="anomaly", kind="anomaly-collection", p_value=2e-6, false_alarms_per_week=0.1, budget=7.0, **fields)


@pytest.mark.parametrize(
    "made", [alert(), anomaly(), alert(device_class="pacs"), alert(reasons=[], attack=[], atlas=[], runbook="", events=[])]
)
def test_a_finding_has_what_ocsf_requires(made: Alert) -> None:
    jsonschema.validate(json.loads(msgspec.json.encode(made.ocsf())), FINDING)


def test_the_class_of_the_device_stands_beside_its_zone() -> None:
    plain, known = alert(), alert(device_class="pacs")
    assert plain.ocsf()["resources"] == [{"uid": "ip:ws3", "type": "device", "namespace": "clinical"}]
    assert known.ocsf()["resources"][0]["labels"] == ["class:pacs"]
    assert known.ocsf()["unmapped"]["device_class"] == "pacs"
    assert "  device  ip:ws3 (clinical, pacs)   " in known.text()
    assert "  device  ip:ws3 (pacs)   " in alert(zone="", device_class="pacs").text()
    assert "  device  ip:ws3 (clinical)   " in alert(device_class="unknown").text()
    assert "  device  ip:ws3   " in alert(zone="", device_class="unknown").text()


def test_every_level_of_a_rule_is_a_severity() -> None:
    assert tuple(SEVERITY) == LEVELS
    found = [(alert(severity=level).ocsf()["severity_id"], alert(severity=level).ocsf()["severity"]) for level in LEVELS]
    assert found == [(1, "Informational"), (2, "Low"), (3, "Medium"), (4, "High"), (5, "Critical")]


def test_the_finding_says_what_where_why_and_when() -> None:
    finding = alert().ocsf()
    info = finding["finding_info"]
    assert finding["time"] == info["created_time"] == info["last_seen_time"] == 1_772_438_490_500
    assert info["first_seen_time"] == 1_772_438_440_500
    assert finding["metadata"]["uid"] == info["uid"] == "0badcafe"
    assert finding["message"] == info["title"] == "Patient lists enumerated"
    assert info["analytic"] == {"uid": "11111111-2222", "name": "Patient lists enumerated", "type_id": 1}
    assert [attack["technique"]["uid"] for attack in info["attacks"]] == ["T1213", "AML.T0036"]
    assert {attack["version"] for attack in info["attacks"]} == {"ATT&CK v19, ATLAS 5.6.0"}
    assert [event["uid"] for event in info["related_events"]] == ["e1", "e2"]
    assert finding["resources"] == [{"uid": "ip:ws3", "type": "device", "namespace": "clinical"}]
    assert finding["remediation"] == {"desc": "Ask first. Then look.", "references": ["cfind-enumeration"]}
    assert finding["risk_score"] == 45
    more = finding["unmapped"]
    assert more["because"] == ["31 C-FIND requests in 60 s"]
    assert more["about"] == ["ip:ws3 → ip:pacs port 11112"]
    assert more["false_positives"] == ["A migration runs.", "A study is exported."]
    assert more["reasons"][0]["p99"] == 4
    assert more["reasons_text"] == [str(REASON)]
    assert more["p_value"] is None


def test_an_anomaly_says_how_sure_it_is() -> None:
    finding = anomaly().ocsf()
    assert finding["finding_info"]["analytic"]["type_id"] == 4
    more = finding["unmapped"]
    assert (more["p_value"], more["false_alarms_per_week"], more["budget_per_week"]) == (2e-6, 0.1, 7.0)
    assert "p = 2e-06; about 0.1 benign minutes a week are as strange, the budget is 7" in anomaly().text()
    assert "p = " not in alert().text()


def test_text() -> None:
    assert alert().text().splitlines() == [
        "HIGH  Patient lists enumerated",
        "  device  ip:ws3 (clinical)   2026-03-02 08:01:30 UTC   id 0badcafe",
        "  why     31 C-FIND requests in 60 s",
        "  who     ip:ws3 → ip:pacs port 11112",
        "  so far  63 C-FIND requests (usual 1, p99 4; never so high in 197 minutes learnt of this device)",
        "  tactic  T1213, AML.T0036   [ATT&CK v19, ATLAS 5.6.0]",
        "  unless  A migration runs.",
        "  do      Ask first.",
        "          Then look.",
    ]


def test_text_without_the_parts_that_may_be_missing() -> None:
    bare = alert(zone="", because=[], about=[], reasons=[], attack=[], atlas=[], false_positives=[], first_steps=[])
    assert bare.text().splitlines() == [
        "HIGH  Patient lists enumerated",
        "  device  ip:ws3   2026-03-02 08:01:30 UTC   id 0badcafe",
    ]


def test_an_anomalys_reasons_are_its_why() -> None:
    assert f"  why     {REASON}" in anomaly(because=[]).text().splitlines()


def test_a_reason_says_whose_habits_it_rests_on_and_how_rare_it_is() -> None:
    assert str(REASON).endswith("never so high in 197 minutes learnt of this device)")
    assert str(msgspec.structs.replace(REASON, own=False)).endswith("of the site, for this device has no history)")
    assert "as high once in 20 minutes of this device" in str(msgspec.structs.replace(REASON, once_in=20))


@pytest.mark.parametrize("field", ["title", "device", "zone", "id", "because", "about"])
def test_what_an_attacker_wrote_cannot_steer_the_terminal(field: str) -> None:
    hostile = "a\x1b[2J\rb\nCRITICAL  all is well\x9b1m\u202e"
    text = alert(**{field: [hostile] if field in {"because", "about"} else hostile}).text()
    assert len(text.splitlines()) == len(alert().text().splitlines())
    assert all(letter.isprintable() or letter == "\n" for letter in text)


def test_ids_are_a_function_of_kind_device_and_window() -> None:
    assert alert_id("k", "ip:a", 5) == alert_id("k", "ip:a", 5)
    others = [("k2", "ip:a", 5), ("k", "ip:b", 5), ("k", "ip:a", 6), ("ki", "p:a", 5), ("k\0ip:a", "", 5)]
    ids = {alert_id(*other) for other in others} | {alert_id("k", "ip:a", 5)}
    assert len(ids) == len(others) + 1
    assert all(len(made) == 20 and int(made, 16) >= 0 for made in ids)


NUMBERS = [
    (0, "0"), (1, "1"), (4.25, "4.25"), (0.12345, "0.123"), (63.0000001, "63"), (998.7, "999"), (999.4, "999"),
    (999.6, "1,000"), (1000, "1,000"), (1234, "1,230"), (9999.9, "10,000"), (12_345, "12,300"), (1_234_567, "1,230,000"),
    (2**53, "9,010,000,000,000,000"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "text"), NUMBERS)
def test_number(value: float, text: str) -> None:
    assert number(value) == text


@given(st.integers(0, 2**53))
def test_a_count_is_read_back_within_half_a_percent(count: int) -> None:
    """A count goes through a logarithm and back before it is shown."""
    text = number(float(np.expm1(np.log1p(float(count)))))
    assert "e" not in text
    assert float(text.replace(",", "")) == pytest.approx(count, rel=0.005, abs=1e-3)


def test_struct_fields_of_the_wire_do_not_hold_live_objects() -> None:
    finding = alert().ocsf()
    assert json.loads(json.dumps(finding)) == finding
    assert not dataclasses.is_dataclass(finding["unmapped"]["reasons"][0])


def test_it_says_where_the_p_value_is_extrapolated() -> None:
    """Beyond one in the minutes learnt it is no count any more."""
    assert "extrapolated from 503 minutes learnt" in msgspec.structs.replace(anomaly(), p_value=1e-9, learnt=503).text()
    assert "extrapolated" not in msgspec.structs.replace(anomaly(), p_value=0.01, learnt=503).text()
