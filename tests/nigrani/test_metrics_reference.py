"""docs/metrics.md is what the code says, and every metric has its note."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from nigrani import metrics_reference as module
from nigrani.metrics_reference import BOUND, Row
from nigrani.service.exposition import Family, exposition
from tests.programs import program

ROOT = Path(__file__).parents[2]
PARTS = {"both": module.both, "detector": module.detector, "agent": module.agent}


def rows() -> Iterator[Row]:
    for part in PARTS.values():
        yield from part()


def test_the_page_is_what_the_code_says() -> None:
    assert (ROOT / "docs" / "metrics.md").read_text() == module.page()


def test_every_metric_says_what_it_is_and_when_to_worry() -> None:
    lines = [line for line in module.page().splitlines() if line.startswith("| `")]
    assert len(lines) > 150
    for line in lines:
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        assert len(cells) == 6, line
        assert cells[4].endswith("."), line
        assert cells[5].endswith("."), line


def test_a_metric_without_a_note_is_a_fault_and_a_note_without_a_metric(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = yaml.safe_load(module.NOTES.read_text())
    del notes["detector"]["nigrani_alerts_total"]
    notes["agent"]["nigrani_agent_of_yesterday"] = "It was here once."
    path = tmp_path / "metrics.yaml"
    path.write_text(yaml.safe_dump(notes))
    monkeypatch.setattr(module, "NOTES", path)
    with pytest.raises(ValueError, match=r"alerts_total has no note under detector; .*of_yesterday under agent is no"):
        module.page()


def test_series_are_bounded_as_stated() -> None:
    for part in ("detector", "agent"):
        assert sum(row.series for row in (*PARTS[part](), *module.both())) < BOUND / 2, "as much again is a site's own"


def test_notes_name_alerts_that_there_are() -> None:
    alerts = (ROOT / "config" / "prometheus" / "alerts.yml").read_text()
    named = set(re.findall(r"\bNigrani[A-Z]\w+", (ROOT / "docs" / "metrics.yaml").read_text()))
    assert named
    assert {name for name in named if f"alert: {name}\n" not in alerts} == set()


def test_units_are_told_by_names() -> None:
    units = {row.name: row.unit for row in rows()}
    assert units["process_cpu_seconds_total"] == "seconds"
    assert units["nigrani_baseline_learnt_timestamp_seconds"] == "timestamp"
    assert units["nigrani_alerts_total"] == ""


def test_promtool_finds_no_fault(request: pytest.FixtureRequest) -> None:
    class Everything:
        def collect(self) -> Iterator[Family]:
            for row in rows():
                if row.kind != "histogram":
                    family = Family(
                        row.kind, row.name.removesuffix("_total") if row.kind == "counter" else row.name, row.text
                    )
                    family.add(0.0, **{label: values[0] for label, values in row.labels.items()})
                    yield family

    text = exposition(Everything())
    done = subprocess.run(
        [program("promtool", request), "check", "metrics"], input=text, capture_output=True, check=False, timeout=20
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")
