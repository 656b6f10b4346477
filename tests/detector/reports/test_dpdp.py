"""The drafts under rule 7 of the DPDP Rules."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from detector.reports import dpdp
from detector.reports.document import TO_FILL
from detector.reports.layout import blocks
from detector.reports.organisation import Organisation, Person
from tests.detector.reports.made import WHEN, a_case, a_finding, an_entry


def draft(organisation: Organisation | None = None, **changes: object) -> str:
    case = a_case(**changes)
    return dpdp.draft(
        case, [a_finding()], [an_entry("acknowledged")], organisation or Organisation(), now=WHEN + timedelta(hours=1)
    )


def test_the_rules_headings() -> None:
    text = draft()
    headings = [block.text for block in blocks(text) if block.kind in {"h2", "h3"}]
    assert [one.split(" ")[0] for one in headings] == [
        "A.",
        "B.",
        "C.",
        "(i)",
        "(ii)",
        "(iii)",
        "(iv)",
        "(v)",
        "(vi)",
        "Annex:",
    ]
    first = [row[0] for block in blocks(text) if block.kind == "table" for row in block.rows]
    assert [name[:3] for name in first if name.startswith("(")] == ["(a)", "(b)", "(c)", "(d)", "(e)"]
    assert "without delay (rule 7(1))" in text
    assert "within 72 hours" in text


def test_the_clock_is_72_hours() -> None:
    assert "**25/11/2026 12:18 IST (25/11/2026 06:48 UTC)**" in draft(deadlines=())
    assert "71 h 00 min left" in draft(deadlines=())


@pytest.mark.parametrize(
    ("detected", "bound"),
    [
        (datetime(2027, 5, 12, 18, 29, tzinfo=UTC), "detected before, on 12/05/2027"),
        (datetime(2027, 5, 12, 18, 30, tzinfo=UTC), "it binds this case, detected on 13/05/2027"),  # midnight in India
    ],
)
def test_commencement_is_a_setting_and_shown(detected: datetime, bound: str) -> None:
    text = draft(detected=detected)
    assert "commences on 13/05/2027 by this site's setting" in text
    assert bound in text
    moved = Organisation(dpdp_commences=date(2026, 11, 13))
    assert "commences on 13/11/2026" in draft(moved, detected=detected)
    assert "it binds this case" in draft(moved, detected=detected)


def test_that_data_was_affected_is_never_claimed() -> None:
    text = draft()
    assert "whether personal data was affected, whose and how much is not known to nigrani" in text
    assert "is it a personal data breach at all?" in text
    assert text.count(TO_FILL) >= 10
    assert "the person is not known to nigrani" in text


def test_who_answers() -> None:
    text = draft(Organisation(answers=Person("B. Rao", "DPO", "+91 1", "dpo@hospital.example"), reporter=Person("A. Kumar")))
    assert "B. Rao, +91 1, dpo@hospital.example" in text
    assert "A. Kumar" not in text
