"""The vocabularies agree with those of the rest."""

from __future__ import annotations

from detector.alert import SEVERITY
from detector.cases.case import AUTHORITIES, SEVERITIES, STATES, VERDICTS
from detector.cases.ocsf import ACTIVITIES, STATUSES, VERDICT_IDS


def test_severities_are_the_alerts_own() -> None:
    assert {name: number for number, name in enumerate(SEVERITIES, 1)} == SEVERITY


def test_ocsf_has_a_word_for_every_state_and_verdict() -> None:
    assert set(ACTIVITIES) == set(STATES)
    assert set(STATUSES) == {*STATES, "suppressed"}
    assert set(VERDICT_IDS) == {*VERDICTS, ""}


def test_six_hours_and_seventy_two() -> None:
    assert AUTHORITIES == {"cert-in": 6, "dpdp": 72}
