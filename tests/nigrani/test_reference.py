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


def sections() -> set[str]:
    return set(re.findall(r"^## (\S+)$", (ROOT / "docs" / "runbooks.md").read_text(), re.MULTILINE))


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_each_rule_has_a_runbook(path: Path) -> None:
    names = {
        document["custom"]["runbook"]
        for document in yaml.safe_load_all(path.read_text())
        if "runbook" in document.get("custom", {})
    }
    assert names
    assert names <= sections()


def test_each_anomaly_has_a_runbook() -> None:
    assert {response.runbook for response in (*RESPONSES, *LIKE_RULES)} <= sections()


def test_reference_is_what_the_code_says() -> None:
    assert (ROOT / "docs" / "reference.md").read_text() == reference.page()


def test_every_setting_and_metric_is_described() -> None:
    rows = [line for line in reference.page().splitlines() if line.startswith("| `")]
    assert len(rows) > 100
    for row in rows:
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert cells[-1], row


def test_links_lead_somewhere() -> None:
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} → {target}"
