"""Who reports, as the configuration has it."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from detector.config import DetectorConfig
from detector.reports.organisation import Person
from nigrani.service.config import load
from nigrani.service.errors import BadConfig


def test_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "detector.yaml"
    path.write_text('organisation:\n  name: City\n  dpdp_commences: 2027-06-01\n  reporter: {name: A, phone: "+91 44"}\n')
    organisation = load(DetectorConfig, path).organisation
    assert (organisation.name, organisation.dpdp_commences, organisation.reporter.phone) == (
        "City",
        date(2027, 6, 1),
        "+91 44",
    )
    assert organisation.answering == organisation.reporter
    path.write_text("organisation:\n  reporter: {name: A}\n  answers: {name: B}\n")
    assert load(DetectorConfig, path).organisation.answering == Person(name="B")


def test_faults_name_their_line(tmp_path: Path) -> None:
    path = tmp_path / "detector.yaml"
    path.write_text("organisation:\n  name: City\n  dpdp_commences: soon\n  reporter: {phone: 12}\n")
    with pytest.raises(BadConfig) as raised:
        load(DetectorConfig, path)
    assert [(fault.line, fault.message.split(":")[0]) for fault in raised.value.faults] == [
        (3, "organisation.dpdp_commences"),
        (4, "organisation.reporter.phone"),
    ]


def test_without_one_it_is_empty_but_for_the_date() -> None:
    organisation = load(DetectorConfig, None).organisation
    assert organisation.name == organisation.reporter.name == ""
    assert organisation.dpdp_commences == date(2027, 5, 13)  # 18 months after 13 November 2025
