"""What the product has, as the lint of dashboards needs it: from the registries, the shipped rules and the page itself."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import yaml

from detector.cases.case import ACTIVE, SEVERITIES, SOURCES, STATES, VERDICTS
from detector.device_class import CLASSES
from detector.page.query import ALL, FIELDS, FINDINGS_ONLY
from nigrani import metrics_reference
from nigrani.metrics_reference import Row
from tests.grafana.dashboards import GRAFANA, shipped
from tests.grafana.lint import Known

ROOT = Path(__file__).parents[2]
PROMETHEUS = GRAFANA.parent / "prometheus"
OPEN = {"source", "version", "fingerprint"}
"""Labels that a site's configuration or the code's own version fills."""


@cache
def known() -> Known:
    """All of it."""
    rows = [*metrics_reference.both(), *metrics_reference.detector(), *metrics_reference.agent()]
    kinds = next(row.labels for row in rows if row.name == "nigrani_alerts_total")["kind"]
    metrics: dict[str, str] = {"up": "gauge"}
    labels: dict[str, dict[str, frozenset[str]]] = {"up": {}}
    for row in rows:
        for name in _series(row):
            metrics[name] = row.kind
            labels[name] = {label: _values(row, label, values) for label, values in row.labels.items()}
    for name, found in _records().items():
        metrics[name], labels[name] = "record", dict.fromkeys(found, frozenset())
    return Known(metrics, labels, _pages(frozenset(kinds)), _runbooks(), frozenset(path.stem for path in shipped()))


def _series(row: Row) -> list[str]:
    return [row.name + end for end in ("_bucket", "_sum", "_count")] if row.kind == "histogram" else [row.name]


def _values(row: Row, label: str, values: list[str]) -> frozenset[str]:
    return frozenset() if label in OPEN and row.name != "nigrani_alerts_total" else frozenset(values)


def _records() -> dict[str, set[str]]:
    """Recording rule → the labels that it keeps."""
    found = {}
    for group in yaml.safe_load((PROMETHEUS / "records.yml").read_text())["groups"]:
        for rule in group["rules"]:
            kept = re.search(r"\bby \(([^)]*)\)", rule["expr"])
            level = rule["record"].partition(":")[0].split("_")
            found[rule["record"]] = (set(kept[1].replace(" ", "").split(",")) if kept else set(level)) - {"le"}
    return found


def _pages(kinds: frozenset[str]) -> dict[str, dict[str, frozenset[str]]]:
    """Lists of the page, and what their addresses may ask."""
    closed = {
        "state": frozenset({*STATES, ACTIVE, ALL}),
        "severity": frozenset(SEVERITIES),
        "kind": kinds,
        "class": frozenset(CLASSES),
        "verdict": frozenset(VERDICTS),
        "source": frozenset(SOURCES),
    }
    asked = {name: closed.get(name, frozenset()) for name in FIELDS}
    return {"/cases": {name: asked[name] for name in asked if name not in FINDINGS_ONLY}, "/findings": asked}


def _runbooks() -> frozenset[str]:
    told = (PROMETHEUS / "alerts.yml").read_text()
    return frozenset(re.findall(r"/runbooks/([a-z-]+)", told))
