"""The documentation keeps up with the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from detector.response import LIKE_RULES, RESPONSES
from nigrani import reference

ROOT = Path(__file__).parents[2]
RULES = sorted((ROOT / "rules").rglob("*.yml"))


RUNBOOKS = sorted((ROOT / "docs" / "runbooks").glob("*.md"))
PARTS = (
    ["Is it a false alarm?", "Contain", "Never cut off", "Call", "Keep"],  # of what was found
    ["Look", "Mend", "Meanwhile"],  # of the watch itself
)


def runbooks() -> set[str]:
    return {path.stem for path in RUNBOOKS}


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_each_rule_has_a_runbook(path: Path) -> None:
    names = {
        document["custom"]["runbook"]
        for document in yaml.safe_load_all(path.read_text())
        if "runbook" in document.get("custom", {})
    }
    assert names
    assert names <= runbooks()


def test_each_anomaly_has_a_runbook() -> None:
    assert {response.runbook for response in (*RESPONSES, *LIKE_RULES)} <= runbooks()


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_a_runbook_has_all_its_parts(path: Path) -> None:
    text = path.read_text()
    assert text.startswith("# ")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) in PARTS


def test_reference_is_what_the_code_says() -> None:
    assert (ROOT / "docs" / "reference.md").read_text() == reference.page()


def test_every_setting_is_described() -> None:
    rows = [line for line in reference.page().splitlines() if line.startswith("| `")]
    assert len(rows) > 100
    for row in rows:
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert cells[-1], row


def test_links_lead_somewhere() -> None:
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} → {target}"
