"""Alertmanager's notifications: trouble of ours opens and closes cases, findings are only told of."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.cases.case import Filter
from detector.cases.store import Store
from detector.cases.webhook import MAX_PAYLOAD, Payload
from tests.detector.cases.made import Clock, finding


def payload(
    status: str = "firing", key: str = "group", since: str = "2026-03-02T07:50:00.123456789Z", **labels: str
) -> dict[str, Any]:
    names = {"alertname": "NigraniAgentSilent", "severity": "high", "site": "north"} | labels
    alert = {
        "status": status,
        "labels": names,
        "annotations": {"summary": "No agent of north reports"},
        "startsAt": since,
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus/graph",
        "fingerprint": "f1",
    }
    return {
        "version": "4",
        "groupKey": key,
        "truncatedAlerts": 0,
        "status": status,
        "receiver": "nigrani",
        "groupLabels": {"alertname": names["alertname"]},
        "commonLabels": names,
        "commonAnnotations": {},
        "externalURL": "http://alertmanager",
        "alerts": [alert],
    }


def test_trouble_opens_a_case_and_its_end_closes_it(store: Store, clock: Clock) -> None:
    opened = store.notify(payload())
    assert (opened.done, opened.cases) == ("opened", (1,))
    case = store.case(1)
    assert case is not None
    assert (case.title, case.severity, case.source, case.kind, case.zone) == (
        "No agent of north reports", "high", "pipeline", "pipeline", "north",
    )  # fmt: skip
    assert (clock.time - case.first).total_seconds() == pytest.approx(600, abs=1)
    assert case.deadlines == ()
    assert store.cases(Filter(kind="pipeline", source="pipeline")).total == 1
    assert store.counts().open == {("high", "pipeline"): 1}
    assert store.notify(payload("resolved")).done == "closed"
    ended = store.case(1)
    assert ended is not None
    assert (ended.state, ended.verdict) == ("closed", "")
    assert [entry.by for entry in store.history(1)] == ["alertmanager", "alertmanager"]


def test_the_same_notification_once_more_does_nothing(store: Store) -> None:
    assert [store.notify(payload()).done for _ in range(3)] == ["opened", "repeated", "repeated"]
    assert len(store.history(1)) == 1
    assert store.notify(payload(since="2026-03-02T08:30:00Z")).done == "noted"
    store.notify(payload("resolved", since="2026-03-02T08:30:00Z"))
    assert store.notify(payload(since="2026-03-02T09:30:00Z")).cases == (2,)
    assert store.case(2).again == 1  # type: ignore[union-attr]


def test_a_link_of_any_length_is_no_reason_to_refuse(store: Store) -> None:
    """Prometheus writes the whole expression of an alerting rule into it."""
    told = payload()
    told["alerts"][0]["generatorURL"] = "http://prometheus/graph?g0.expr=" + "x" * 10_000
    assert store.notify(told).done == "opened"


def test_a_person_s_case_is_not_closed(store: Store) -> None:
    store.notify(payload())
    store.acknowledge(1, "asha")
    assert store.notify(payload("resolved")).done == "noted"
    assert store.case(1).state == "acknowledged"  # type: ignore[union-attr]
    assert store.history(1)[-1].text == "resolved: No agent of north reports"


def test_what_is_about_findings_is_noted_on_the_cases_meant(store: Store) -> None:
    store.add(
        [finding("port_scan", "ip:a", level="high"), finding("anomaly-dns", "ip:b", level="high"), finding("tunnel", "ip:c")]
    )
    assert store.notify(payload(kind="port_scan")).cases == (1,)
    assert store.notify(payload(key="other", kind="anomaly-dns")).cases == (2,)
    assert store.notify(payload(key="third", about="findings")).cases == (1,), "the oldest that nobody has taken"
    assert store.notify(payload(key="fifth", about="findings", authority="dpdp")).cases == (1,)
    assert store.notify(payload(key="sixth", about="detector", kind="auth")).done == "opened"
    assert store.notify(payload(key="fourth", kind="nothing")).done == "nothing"
    assert store.cases(Filter(source="finding")).total == 3
    assert [entry.action for entry in store.history(1)] == ["opened", *["notified"] * 3]


def test_several_groups_are_several_cases(store: Store) -> None:
    store.notify(payload(key="a"))
    store.notify(payload(key="b"))
    assert store.notify(payload("resolved", key="a")).cases == (1,)
    assert store.notify(payload("resolved", key="never")).done == "nothing"


@pytest.mark.parametrize(
    "change",
    [
        {"version": "3"}, {"groupKey": ""}, {"groupKey": "x" * 3000}, {"status": "on"}, {"alerts": []},
        {"alerts": [{"status": "firing"}] * 1001}, {"commonLabels": {"a": 1}},
        {"commonLabels": {str(number): "" for number in range(65)}},
    ],
)  # fmt: skip
def test_what_is_no_notification_is_refused(store: Store, change: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        store.notify(payload() | change)
    assert store.cases().total == 0


def test_a_payload_that_is_too_long_is_refused(store: Store) -> None:
    with pytest.raises(ValueError, match="are the most"):
        store.notify(b" " * (MAX_PAYLOAD + 1))


BYTES = msgspec.json.encode(payload())


@given(at=st.integers(0, len(BYTES)), cut=st.integers(0, 30), put=st.binary(max_size=10))
def test_hostile_bytes_are_a_payload_or_refused(at: int, cut: int, put: bytes) -> None:
    try:
        told = msgspec.json.decode(BYTES[:at] + put + BYTES[at + cut :], type=Payload)
    except ValueError:
        return
    assert told.version == "4"
