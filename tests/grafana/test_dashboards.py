"""The shipped dashboards: laid out in one way, free of faults, whole, and provisioned as they lie there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from detector.device_class import CLASSES
from detector.response import LIKE_RULES, RESPONSES
from tests.grafana.dashboards import FOLDER, GRAFANA, ROOT, laid_out, load, queries, shipped, variables
from tests.grafana.known import known
from tests.grafana.lint import lint

UIDS = {"nigrani-soc", "nigrani-device", "nigrani-ai", "nigrani-pipeline", "nigrani-quality"}
PANELS = Path(__file__).parent / "panels.txt"
FOLDERS = {
    "Imaging": {"dicom", "dicom_audit"},
    "Records": {"hl7", "fhir"},
    "AI workflows": {"ai", "training"},
    "Files and accounts": {"smb", "lateral"},
    "Network": {"network", "dns", "telemedicine"},
    "The guard itself": {"watch"},
}
"""What a subject of the device story is, by the folders of rules."""


def rules_of(folders: set[str]) -> set[str]:
    return {path.stem for folder in folders for path in (ROOT / "rules" / folder).glob("*.yml")}


@pytest.mark.parametrize("path", shipped(), ids=lambda path: path.stem)
def test_no_fault(path: Path) -> None:
    assert lint(load(path), known(), path.stem) == []


@pytest.mark.parametrize("path", shipped(), ids=lambda path: path.stem)
def test_the_file_has_the_one_form(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == laid_out(load(path)) + "\n", "python -m tests.grafana.dashboards"


def test_they_are_those_that_alerts_link_to() -> None:
    assert {path.stem for path in shipped()} == UIDS
    told = (ROOT / "config" / "prometheus" / "alerts.yml").read_text()
    linked = set(re.findall(r"/d/([a-z-]+)", told))
    assert linked
    assert linked <= UIDS


def test_ids_stay_what_they_are() -> None:
    """A panel's id is in bookmarks and wall displays: a new panel takes a new one, and none is given anew."""
    now = {f"{path.stem} {panel['id']} {panel['title']}" for path in shipped() for panel in load(path)["panels"]}
    assert now == set(PANELS.read_text(encoding="utf-8").splitlines()), "tests/grafana/panels.txt says otherwise"


def test_what_a_tired_analyst_needs_is_top_left() -> None:
    panels = load(FOLDER / "nigrani-soc.json")["panels"]
    first = [panel for panel in panels if panel["gridPos"]["y"] == 0]
    assert first[0]["gridPos"]["x"] == 0
    assert 'severity=~"high|critical"' in first[0]["targets"][0]["expr"]
    assert all(panel["options"]["colorMode"] == "background" for panel in first)


def subjects() -> dict[str, set[str]]:
    options = variables(load(FOLDER / "nigrani-device.json"))["family"]["options"]
    return {one["text"]: set(one["value"].split("|")) for one in options if one["text"] != "Everything"}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_subject_has_all_rules_of_its_folders(name: str) -> None:
    assert rules_of(FOLDERS[name]) <= subjects()[name]


def test_every_kind_is_of_one_subject() -> None:
    assert {folder.name for folder in (ROOT / "rules").iterdir() if folder.is_dir()} == set().union(*FOLDERS.values())
    kinds = rules_of(set().union(*FOLDERS.values())) | {one.slug for one in LIKE_RULES}
    kinds |= {f"anomaly-{one.slug}" for one in RESPONSES}
    for kind in kinds:
        assert len([name for name, values in subjects().items() if kind in values]) == 1, kind


def test_the_subject_can_be_put_into_a_query_as_it_is() -> None:
    """Grafana escapes the bars of a value only where several may be chosen."""
    family = variables(load(FOLDER / "nigrani-device.json"))["family"]
    assert not family["multi"]
    assert not family["includeAll"]
    assert family["query"] == ", ".join(f"{one['text']} : {one['value']}" for one in family["options"])


def test_ai_has_all_rules_about_ai() -> None:
    wanted = rules_of({"ai", "training"}) | {"anomaly-inference"}
    asked = [expr for panel in load(FOLDER / "nigrani-ai.json")["panels"] for _, expr in queries(panel) if 'kind=~"' in expr]
    named = [set(expr.split('kind=~"')[1].split('"')[0].split("|")) for expr in asked]
    assert sum(one == wanted for one in named) == len(named) - 1
    assert all(one <= wanted for one in named)


def test_classes_are_known_to_the_page() -> None:
    assert known().pages["/cases"]["class"] == set(CLASSES)


def provisioned(name: str) -> dict[str, Any]:
    told: dict[str, Any] = yaml.safe_load((GRAFANA / "provisioning" / name / "nigrani.yaml").read_text())
    assert told["apiVersion"] == 1
    return told


def test_provisioning_names_a_prometheus_and_the_folder() -> None:
    (source,) = provisioned("datasources")["datasources"]
    assert source["type"] == "prometheus"
    assert source["access"] == "proxy"
    assert source["editable"] is False
    (provider,) = provisioned("dashboards")["providers"]
    assert provider["type"] == "file"
    path = provider["options"]["path"]
    told = (ROOT / "docs" / "grafana.md").read_text(encoding="utf-8")
    assert f"cp config/grafana/dashboards/*.json {path}/" in told
    assert provider["disableDeletion"]
    assert not provider["allowUiUpdates"]


def test_nothing_is_fetched_from_elsewhere() -> None:
    """A hospital's Grafana may have no way out: no pictures, no plugins beyond those that are built in."""
    built_in = {"stat", "timeseries", "bargauge", "table", "heatmap", "text", "row"}
    for path in shipped():
        assert {panel["type"] for panel in load(path)["panels"]} <= built_in
        assert path.read_text().replace("http://127.0.0.1:9466", "").count("http") == 0


def test_the_manual_has_them_all_and_its_pictures_are_light() -> None:
    told = (ROOT / "docs" / "grafana.md").read_text(encoding="utf-8")
    assert {uid for uid in UIDS if f"(`{uid}`)" in told} == UIDS
    pictures = re.findall(r"!\[[^\]]+\]\((pictures/grafana-[a-z]+\.png)\)", told)
    assert pictures
    assert all((ROOT / "docs" / one).stat().st_size < 150_000 for one in pictures)
