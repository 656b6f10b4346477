"""Each feature that can lead an anomaly has a title, a runbook and first steps that cut nobody off."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from detector.features import WINDOW_FEATURES
from detector.response import CARE, LIKE_RULES, MATRIX, RESPONSES, Response

DIFFERENT = sorted(set(RESPONSES), key=lambda response: response.slug)
DISCONNECTS = re.compile(r"\b(unplug|disconnect|power (it )?off|switch (it )?off|shut (it )?down|isolate)\b", re.IGNORECASE)
LEADS = {
    "bytes sent to the internet": "exfiltration",
    "bytes sent": "volume",
    "C-FIND requests": "collection",
    "C-MOVE and C-GET requests": "collection",
    "SMB files changed": "files",
    "inferences": "inference",
    "studies inferred on": "inference",
    "bytes in DNS names": "dns",
    "connections": "behaviour",
    "failed connections": "behaviour",
}


def test_every_feature_has_one() -> None:
    assert len(RESPONSES) == len(WINDOW_FEATURES)
    by_name = {feature.name: response.slug for feature, response in zip(WINDOW_FEATURES, RESPONSES, strict=True)}
    assert {name: by_name[name] for name in LEADS} == LEADS


@pytest.mark.parametrize("response", DIFFERENT, ids=lambda response: response.slug)
def test_a_response_is_whole(response: Response) -> None:
    assert response.title
    assert re.fullmatch(r"[a-z]+", response.slug), "it becomes a label of a metric"
    assert re.fullmatch(r"anomaly(-[a-z]+)?", response.runbook)
    assert response.first_steps[-1] == CARE
    assert not any(DISCONNECTS.search(step) for step in response.first_steps)
    assert all(re.fullmatch(r"T\d{4}(\.\d{3})?|AML\.T\d{4}(\.\d{3})?", technique) for technique in response.attack)
    assert response.matrix == MATRIX


@pytest.mark.parametrize("response", LIKE_RULES, ids=lambda response: response.slug)
def test_what_is_told_as_rules_are_is_whole_too(response: Response) -> None:
    assert response.title
    assert response.runbook == response.slug
    assert response.first_steps
    assert not any(DISCONNECTS.search(step) for step in response.first_steps)
    assert response.matrix == MATRIX


def test_slugs_tell_responses_apart() -> None:
    assert len({response.slug for response in DIFFERENT}) == len(DIFFERENT)


def test_what_alerts_is_told_by_its_response() -> None:
    when = datetime(2026, 3, 2, 8, tzinfo=UTC)
    [weak, *_] = LIKE_RULES
    told = weak.alert(device="ip:ws", when=when, first=when, source="rule", attack=["T1046"], risk=70)
    assert (told.kind, told.slug, told.title, told.severity) == (weak.slug, weak.slug, weak.title, "medium")
    assert (told.device, told.attack, told.risk, told.runbook) == ("ip:ws", ["T1046"], 70, weak.runbook)
    assert (told.matrix, told.first_steps) == (weak.matrix, list(weak.first_steps))
