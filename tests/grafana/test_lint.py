"""The lint of dashboards finds what it is for: each planted fault, and none where there is none."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.grafana.dashboards import FOLDER, Dashboard, load
from tests.grafana.known import known
from tests.grafana.lint import lint

NAME = "nigrani-soc"
SOUND = load(FOLDER / f"{NAME}.json")


def at(dashboard: Dashboard, title: str) -> dict[str, Any]:
    found: dict[str, Any] = next(panel for panel in dashboard["panels"] if panel["title"] == title)
    return found


def stat(dashboard: Dashboard) -> dict[str, Any]:
    return at(dashboard, "Open, high or critical")


def graph(dashboard: Dashboard) -> dict[str, Any]:
    return at(dashboard, "Alerts by kind")


def defaults(panel: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = panel["fieldConfig"]["defaults"]
    return found


def rewrite(panel: dict[str, Any], old: str, new: str) -> None:
    expr = panel["targets"][0]["expr"]
    assert old in expr
    panel["targets"][0]["expr"] = expr.replace(old, new)


PLANTED: dict[str, tuple[Callable[[Dashboard], object], str]] = {
    "editable": (lambda d: d.update(editable=True), "editable is True"),
    "uid": (lambda d: d.update(uid="other"), "uid is 'other'"),
    "schema": (lambda d: d.update(schemaVersion=16), "schemaVersion is 16"),
    "tags": (lambda d: d.update(tags=[]), "tags is []"),
    "no way to the others": (lambda d: d["links"].pop(0), "no link to the other dashboards"),
    "no data source": (lambda d: d["templating"]["list"].pop(0), "no variable datasource"),
    "id twice": (lambda d: stat(d).update(id=graph(d)["id"]), "is there twice"),
    "title twice": (lambda d: stat(d).update(title="Alerts by kind"), "is there twice"),
    "over another": (lambda d: stat(d)["gridPos"].update(w=5), "lies over"),
    "a hole": (lambda d: stat(d)["gridPos"].update(w=3), "a hole at column 3, row 0"),
    "beyond the columns": (lambda d: graph(d)["gridPos"].update(w=17), "out of the 24 columns"),
    "no title": (lambda d: stat(d).update(title=""), "no title"),
    "no description": (lambda d: stat(d).update(description=""), "no description worth the name"),
    "no word of worry": (lambda d: stat(d).update(description="x" * 80), "does not say when to worry"),
    "unit": (lambda d: defaults(stat(d)).update(unit="furlongs"), "no unit 'furlongs'"),
    "no unit": (lambda d: defaults(stat(d)).pop("unit"), "no unit"),
    "no thresholds": (lambda d: defaults(stat(d)).pop("thresholds"), "no thresholds"),
    "thresholds fall": (
        lambda d: defaults(stat(d))["thresholds"]["steps"].append({"color": "red", "value": 0}),
        "no ladder",
    ),
    "nothing to say without data": (lambda d: defaults(stat(d)).pop("noValue"), "no noValue"),
    "no legend": (lambda d: graph(d)["options"]["legend"].update(showLegend=False), "no legend"),
    "no name in the legend": (lambda d: graph(d)["targets"][0].update(legendFormat="__auto"), "without a name"),
    "red leads nowhere": (lambda d: defaults(stat(d)).update(links=[]), "leads to no cases"),
    "no such dashboard": (
        lambda d: defaults(stat(d))["links"].append({"url": "/d/nigrani-gone"}),
        "no dashboard nigrani-gone",
    ),
    "no such page": (
        lambda d: defaults(stat(d))["links"].append({"url": "${page:raw}/devices"}),
        "the page has no /devices",
    ),
    "no such filter": (
        lambda d: defaults(stat(d))["links"].append({"url": "${page:raw}/cases?device_class=pacs"}),
        "cannot be asked for device_class",
    ),
    "no such state": (lambda d: defaults(stat(d))["links"].append({"url": "${page:raw}/cases?state=new"}), "no state new"),
    "no such runbook": (
        lambda d: defaults(stat(d))["links"].append({"url": "${page:raw}/runbooks/luck"}),
        "no runbook luck",
    ),
    "elsewhere": (
        lambda d: d["links"].append({"title": "x", "type": "link", "tags": [], "url": "http://a.test"}),
        "neither",
    ),
    "a fixed data source": (
        lambda d: stat(d)["datasource"].update(uid="P1809F7CD0C75ACF3"),
        "the data source is no variable",
    ),
    "no query": (lambda d: stat(d)["targets"].clear(), "no query"),
    "a reference twice": (lambda d: stat(d)["targets"].append(stat(d)["targets"][0]), "a reference of their own"),
    "no such metric": (
        lambda d: rewrite(stat(d), "nigrani_cases_open", "nigrani_cases_opne"),
        "no metric nigrani_cases_opne",
    ),
    "no such label": (lambda d: rewrite(stat(d), "severity=~", "level=~"), "has no label level"),
    "no such value": (lambda d: rewrite(stat(d), "high|critical", "high|crtical"), "no nigrani_cases_open has severity"),
    "no such label to group by": (
        lambda d: rewrite(graph(d), "by (kind)", "by (device)"),
        "nothing here has a label device",
    ),
    "every site": (lambda d: rewrite(stat(d), 'site=~"$site",', ""), "is not narrowed to $site"),
    "no labels": (lambda d: stat(d)["targets"][0].update(expr="sum(nigrani_cases_open)"), "no selector"),
    "a bare counter": (lambda d: rewrite(graph(d), "rate(", "max("), "nigrani_alerts_total is a counter"),
    "a fixed window": (lambda d: rewrite(graph(d), "[$__rate_interval]", "[5m]"), "nigrani_alerts_total is a counter"),
    "bars that overlap": (lambda d: rewrite(graph(d), "rate(", "increase("), "do not add up"),
    "bars of any width": (lambda d: graph(d).pop("interval"), "without a least interval"),
    "a flat graph": (lambda d: rewrite(graph(d), "[$__rate_interval]", "[$__range]"), "is flat"),
    "no such variable": (lambda d: rewrite(stat(d), '"high|critical"', '"$level"'), "no variable level"),
    "a variable for nothing": (
        lambda d: d["templating"]["list"].append({"name": "x", "type": "custom", "label": "x", "description": "x"}),
        "variable x is not used",
    ),
    "a variable's metric": (
        lambda d: d["templating"]["list"][1]["query"].update(query="label_values(nigrani_gone, site)"),
        "there is no metric nigrani_gone",
    ),
    "a variable's label": (
        lambda d: d["templating"]["list"][1]["query"].update(query="label_values(nigrani_build_info, ward)"),
        "nigrani_build_info has no label ward",
    ),
    "no such column": (
        lambda d: at(d, "Open cases by kind")["fieldConfig"]["overrides"][0]["matcher"].update(options="Sort"),
        "no column Sort",
    ),
}


def test_a_sound_one_has_no_fault() -> None:
    assert lint(SOUND, known(), NAME) == []


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found(name: str) -> None:
    plant, told = PLANTED[name]
    dashboard = copy.deepcopy(SOUND)
    plant(dashboard)
    assert any(told in fault for fault in lint(dashboard, known(), NAME)), lint(dashboard, known(), NAME)
