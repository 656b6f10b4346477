"""STIX 2.1, by the official library and validator."""

from __future__ import annotations

import json
import warnings
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings

from detector.cases.case import Case, Finding
from detector.reports import stix
from detector.reports.organisation import Organisation, Person
from tests.detector.reports.made import DEVICE, PEER, WHEN, a_case, a_finding
from tests.detector.reports.test_document import IN_JSON

HOSPITAL = Organisation(name="City Hospital", reporter=Person("A. Kumar", email="ciso@hospital.example"))


def bundle(case: Case | None = None, *findings: Finding) -> dict[str, Any]:
    told = findings or (
        a_finding(because=["41 ports of 10.20.1.10"], about=[f"{DEVICE} → {PEER} port 104"], attacks=["T1046", "AML.T0006"]),
        a_finding("f2", when=WHEN + timedelta(minutes=1), attacks=["T1046"]),
    )
    return stix.bundle(case or a_case(findings=len(told)), told, HOSPITAL)


def of(whole: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [thing for thing in whole["objects"] if thing["type"] == kind]


def validated(whole: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the validator's own dependencies
        stix2 = pytest.importorskip("stix2")
        validator = pytest.importorskip("stix2validator")
        parsed = stix2.parse(whole, allow_custom=True)
        found = validator.validate_string(json.dumps(whole), validator.ValidationOptions(version="2.1"))
    assert len(parsed.objects) == len(whole["objects"])
    assert found.is_valid, [str(error) for error in found.errors]


def test_it_is_valid() -> None:
    validated(bundle())
    validated(stix.bundle(a_case(verdict="true-positive", state="closed"), [], Organisation()))


def test_what_is_in_it() -> None:
    whole = bundle()
    assert [pattern["external_references"][0]["external_id"] for pattern in of(whole, "attack-pattern")] == [
        "T1046",
        "AML.T0006",
    ]
    assert [pattern["external_references"][0]["source_name"] for pattern in of(whole, "attack-pattern")] == [
        "mitre-attack",
        "mitre-atlas",
    ]
    assert {device["token"] for device in of(whole, "nigrani-device")} == {DEVICE, PEER}
    first = next(one for one in of(whole, "sighting") if one["sighting_of_ref"] == of(whole, "attack-pattern")[0]["id"])
    assert (first["count"], first["first_seen"], first["last_seen"]) == (
        2,
        "2026-11-22T06:48:22.000Z",
        "2026-11-22T06:49:24.000Z",
    )
    [report] = of(whole, "report")
    ids = {thing["id"] for thing in whole["objects"]}
    assert set(report["object_refs"]) <= ids
    assert all(
        stix.TLP_AMBER in thing["object_marking_refs"] for thing in whole["objects"] if thing["type"] != "marking-definition"
    )
    assert of(whole, "indicator") == []


def test_nothing_of_it_is_an_address_or_a_person() -> None:
    text = json.dumps(bundle(a_case(title="Scan from 10.20.1.10 by aa:bb:cc:dd:ee:ff")))
    for gone in ("10.20.1.10", "aa:bb:cc", "Kumar", "ciso@"):
        assert gone not in text


def test_a_domain_that_carried_data_is_an_indicator() -> None:
    about = [f"{DEVICE} → {PEER} port 53 (internet)", "names under cdn-sync.test, TXT"]
    whole = bundle(None, a_finding(kind="tunnel", about=about))
    [indicator] = of(whole, "indicator")
    assert indicator["pattern"] == "[domain-name:value = 'cdn-sync.test']"
    validated(whole)
    assert of(bundle(None, a_finding(kind="zone_transfer", about=about)), "indicator") == []
    hostile = a_finding(kind="tunnel", about=["names under x.test'] OR [a:b = 'c, TXT", "names under 'a', TXT"])
    validated(bundle(None, hostile))


def test_ids_are_the_same_of_the_same_and_others_of_another_hospital() -> None:
    assert bundle() == bundle()
    later = bundle(a_case(updated=WHEN + timedelta(hours=1)))
    [report], [changed] = of(bundle(), "report"), of(later, "report")
    assert report["id"] == changed["id"]
    assert report["created"] == changed["created"]
    assert report["modified"] < changed["modified"]
    other = stix.bundle(a_case(), [a_finding()], Organisation(name="Another"))
    assert {one["id"] for one in of(other, "observed-data")}.isdisjoint(one["id"] for one in of(bundle(), "observed-data"))


def test_a_storm_is_told_in_bounds() -> None:
    findings = [a_finding(f"f{number}") for number in range(stix.MAX_FINDINGS + 5)]
    whole = bundle(None, *findings)
    assert len(of(whole, "observed-data")) == stix.MAX_FINDINGS
    assert "1005 findings, 1000 of them here" in of(whole, "report")[0]["description"]


@settings(max_examples=15)
@given(IN_JSON, IN_JSON)
def test_hostile_text_makes_no_invalid_bundle(one: str, two: str) -> None:
    finding = a_finding(title=one, because=[two], about=[two], device=one, zone=two, attacks=[one], kind="tunnel")
    validated(bundle(a_case(title=two), finding))
