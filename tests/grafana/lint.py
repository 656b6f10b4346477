"""What a dashboard must hold to; each fault is one sentence that names the panel."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

from tests.grafana.dashboards import Dashboard, Panel, links, queries, variable_query, variables

COLUMNS = 24
SCHEMA = 39
"""What Grafana 10.3 and 11 write; 10.0 reads it as it is, and 12 brings it up to date itself."""
UNITS = frozenset((Path(__file__).parent / "units.txt").read_text(encoding="utf-8").split())
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
FIXED = {"datasource", "page"}
"""Variables that every dashboard has."""
TARGET_LABELS = {"site", "instance", "job"}
"""Labels that the scrape configuration gives to every series."""
GIVEN = re.compile(r"__[a-z_]+")
"""Variables that Grafana itself has."""
VARIABLE = re.compile(r"\$(?:\{(\w+)[^}]*\}|(\w+))")
SELECTOR = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\{([^}]*)\}(\[[^\]]+\])?")
MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
GROUPING = re.compile(r"\b(?:by|without|on)\s*\(([^)]*)\)")
RATES = re.compile(r"(rate|increase)\($")
WINDOWS = {"[$__rate_interval]", "[$__range]"}


class Known(NamedTuple):
    """What the product has, for dashboards to speak of."""

    metrics: Mapping[str, str]
    """Name of a series, as a query writes it → `counter`, `gauge`, `histogram`, or `record` of a recording rule."""
    labels: Mapping[str, Mapping[str, frozenset[str]]]
    """Name of a series → its labels → their values; empty where they are not a closed list."""
    pages: Mapping[str, Mapping[str, frozenset[str]]]
    """Path of the detector's page → what its address may ask → the values; empty where any may be asked."""
    runbooks: frozenset[str]
    """Names of alerts, as the page's runbooks are called."""
    dashboards: frozenset[str]
    """Their uids."""


def lint(dashboard: Dashboard, known: Known, name: str) -> list[str]:
    """All faults of a dashboard; name: of its file."""
    faults = list(_frame(dashboard, name)) + list(_grid(dashboard["panels"])) + list(_used(dashboard))
    for panel in dashboard["panels"]:
        for rule in PANEL_RULES:
            faults += [f"{panel.get('title') or 'panel ' + str(panel.get('id'))}: {fault}" for fault in rule(panel, known)]
    faults += [f"variable {name}: {fault}" for name, fault in _variables(dashboard, known)]
    urls = [(link["title"], link["url"]) for link in dashboard["links"] if link["url"]]
    return faults + [f"link {title}: {fault}" for title, url in urls for fault in _leads(url, known)]


def _variables(dashboard: Dashboard, known: Known) -> Iterator[tuple[str, str]]:
    """What is wrong with which variable."""
    for name, one in variables(dashboard).items():
        if not one.get("label") or not one.get("description"):
            yield name, "no label or description"
        if (asked := variable_query(one)) is None:
            continue
        if one.get("datasource") != SOURCE:
            yield name, "the data source is no variable"
        selector, label = asked
        metric = selector.partition("{")[0]
        if metric not in known.metrics:
            yield name, f"there is no metric {metric}"
        elif not _has_label(metric, label, known):
            yield name, f"{metric} has no label {label}"
        for match in SELECTOR.finditer(selector):
            yield from ((name, fault) for fault in _selector(match[1], match[2], known))


def _frame(dashboard: Dashboard, name: str) -> Iterator[str]:
    wanted = {"uid": name, "editable": False, "schemaVersion": SCHEMA, "tags": ["nigrani"]}
    for key, value in wanted.items():
        if dashboard.get(key) != value:
            yield f"{key} is {dashboard.get(key)!r}, not {value!r}"
    for key in ("title", "description", "refresh"):
        if not dashboard.get(key):
            yield f"no {key}"
    ids = [panel.get("id") for panel in dashboard["panels"]]
    yield from (f"id {one} is there twice" for one in sorted({one for one in ids if ids.count(one) > 1}, key=str))
    titles = [panel.get("title") for panel in dashboard["panels"]]
    yield from (f"title {one!r} is there twice" for one in sorted({one for one in titles if titles.count(one) > 1}, key=str))
    if not any(link["type"] == "dashboards" and link["tags"] == ["nigrani"] for link in dashboard["links"]):
        yield "no link to the other dashboards"
    for one, kind in (("datasource", "datasource"), ("page", "textbox")):
        if variables(dashboard).get(one, {}).get("type") != kind:
            yield f"no variable {one}"


def _grid(panels: list[Panel]) -> Iterator[str]:
    """Every cell of the 24 columns has one panel, down to the last row."""
    taken: dict[tuple[int, int], str] = {}
    for panel in panels:
        place, title = panel["gridPos"], panel.get("title", "")
        if place["x"] < 0 or place["w"] < 1 or place["x"] + place["w"] > COLUMNS:
            yield f"{title}: out of the {COLUMNS} columns"
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                if (x, y) in taken and taken[x, y] != title:
                    yield f"{title}: lies over {taken[x, y]}"
                taken[x, y] = title
    holes = [(x, y) for y in range(max((y for _, y in taken), default=0)) for x in range(COLUMNS) if (x, y) not in taken]
    if holes:
        yield f"a hole at column {holes[0][0]}, row {holes[0][1]}"


def _used(dashboard: Dashboard) -> Iterator[str]:
    """Every variable is there, and every one that is there is used."""
    mine = variables(dashboard)
    texts = [text for panel in dashboard["panels"] for text in (*(expr for _, expr in queries(panel)), *links(panel))]
    texts += [panel.get("options", {}).get("content", "") for panel in dashboard["panels"]]
    texts += [link["url"] for link in dashboard["links"]]
    texts += [asked[0] for one in mine.values() if (asked := variable_query(one))]
    found = {first or second for text in texts for first, second in VARIABLE.findall(text)}
    yield from (f"no variable {one}" for one in sorted(found - set(mine)) if not GIVEN.fullmatch(one))
    yield from (f"variable {one} is not used" for one in sorted(set(mine) - found - FIXED))


def _words(panel: Panel, known: Known) -> Iterator[str]:
    """Title, and in plain words what it shows and when to worry."""
    if not panel.get("title"):
        yield "no title"
    if panel["type"] in {"row", "text"}:
        return
    if len(panel.get("description", "")) < 60:
        yield "no description worth the name"
    if "orry" not in panel.get("description", ""):
        yield "the description does not say when to worry"


def _form(panel: Panel, known: Known) -> Iterator[str]:
    """Unit, thresholds, what it says without data, legend."""
    if panel["type"] in {"row", "text"}:
        return
    defaults = panel["fieldConfig"]["defaults"]
    fields = [defaults, *_overridden(panel)]
    for given in fields:
        if "unit" in given and given["unit"] not in UNITS:
            yield f"Grafana has no unit {given['unit']!r}"
        if "thresholds" in given:
            yield from _steps(given["thresholds"])
    yield from (f"no {key}" for key in ("unit", "thresholds", "noValue") if key not in defaults)
    if panel["type"] == "timeseries":
        if not panel["options"].get("legend", {}).get("showLegend"):
            yield "no legend"
        if any(target.get("legendFormat", "__auto") == "__auto" for target in panel["targets"]):
            yield "a series without a name in the legend"
    if panel["type"] == "table":
        named = {rename for one in panel["transformations"] for rename in one["options"].get("renameByName", {}).values()}
        told = {one["matcher"]["options"] for one in panel["fieldConfig"]["overrides"]}
        yield from (f"no column {column}" for column in sorted(told - named))


def _overridden(panel: Panel) -> Iterator[dict[str, object]]:
    for override in panel["fieldConfig"]["overrides"]:
        yield {given["id"]: given["value"] for given in override["properties"]}


def _steps(thresholds: object) -> Iterator[str]:
    steps = thresholds["steps"] if isinstance(thresholds, dict) else []
    values = [step["value"] for step in steps]
    if not values or values[0] is not None or None in values[1:] or sorted(values[1:]) != values[1:]:
        yield f"thresholds are no ladder: {values}"


def _red(panel: Panel) -> bool:
    fields = [panel.get("fieldConfig", {}).get("defaults", {}), *(_overridden(panel) if "fieldConfig" in panel else ())]
    return any(step["color"] == "red" for given in fields for step in given.get("thresholds", {}).get("steps", ()))


def _way_on(panel: Panel, known: Known) -> Iterator[str]:
    """What can turn red leads to cases in one click; every link leads somewhere."""
    if _red(panel) and not any("${page:raw}/cases?" in url for url in links(panel)):
        yield "it can turn red and leads to no cases"
    for url in links(panel):
        yield from _leads(url, known)


def _leads(url: str, known: Known) -> Iterator[str]:
    if url.startswith("/d/"):
        uid = urlsplit(url).path.removeprefix("/d/")
        if uid not in known.dashboards:
            yield f"no dashboard {uid}"
        return
    if not url.startswith("${page:raw}/"):
        yield f"{url} leads neither to a dashboard nor to the page"
        return
    parts = urlsplit(url.removeprefix("${page:raw}"))
    if parts.path.startswith("/runbooks/"):
        if (name := parts.path.removeprefix("/runbooks/")) not in known.runbooks:
            yield f"no runbook {name}"
        return
    if parts.path not in known.pages:
        yield f"the page has no {parts.path}"
        return
    for key, value in parse_qsl(parts.query):
        values = known.pages[parts.path].get(key)
        if values is None:
            yield f"{parts.path} cannot be asked for {key}"
        elif values and not VARIABLE.search(value) and value not in values:
            yield f"{parts.path} knows no {key} {value}"


def _asks(panel: Panel, known: Known) -> Iterator[str]:
    """Queries: of the variable's data source, of what there is, counters as rates."""
    asked = list(queries(panel))
    if panel["type"] in {"row", "text"}:
        return
    if panel.get("datasource") != SOURCE:
        yield "the data source is no variable"
    if not asked:
        yield "no query"
    names = [ref for ref, _ in asked]
    if not all(names) or len(set(names)) != len(names):
        yield "queries without a reference of their own"
    for _, expr in asked:
        yield from _expression(expr, known)
        if panel["type"] in {"timeseries", "heatmap"} and "[$__range]" in expr:
            yield "a graph over [$__range] is flat; take [$__rate_interval]"
        if _barred(panel) and ("increase(" in expr or ("_total" in expr and "$__interval_ms" not in expr)):
            yield "bars that do not add up to the count: rate() * $__interval_ms / 1000"
    if _barred(panel) and "interval" not in panel:
        yield "bars without a least interval"


def _barred(panel: Panel) -> bool:
    custom = panel["fieldConfig"]["defaults"].get("custom", {})
    return bool(panel["type"] == "timeseries" and custom.get("drawStyle") == "bars")


def _expression(expr: str, known: Known) -> Iterator[str]:
    found = list(SELECTOR.finditer(expr))
    if not found:
        yield f"no selector with labels in {expr!r}"
    for match in found:
        name, inside, window = match.groups()
        yield from _selector(name, inside, known)
        before = expr[: match.start()]
        if known.metrics.get(name) in {"counter", "histogram"} and not (RATES.search(before) and window in WINDOWS):
            yield f"{name} is a counter: rate() or increase() over [$__rate_interval] or [$__range]"
    bare = re.sub(r"\{[^}]*\}|\"[^\"]*\"", "", expr)
    with_labels = {match[1] for match in found}
    yield from (f"{one} has no selector" for one in re.findall(r"[a-zA-Z_:][\w:]*", bare)
                if one in known.metrics and one not in with_labels)  # fmt: skip
    for group in GROUPING.findall(expr):
        for label in filter(None, map(str.strip, group.split(","))):
            if not any(_has_label(match[0], label, known) for match in found):
                yield f"nothing here has a label {label}"


def _has_label(selector: str, label: str, known: Known) -> bool:
    return label in TARGET_LABELS or label in known.labels.get(selector.partition("{")[0], ())


def _selector(name: str, inside: str, known: Known) -> Iterator[str]:
    if name not in known.metrics:
        yield f"there is no metric {name}"
        return
    matchers = MATCHER.findall(inside)
    if ("site", "=~", "$site") not in matchers:
        yield f"{name} is not narrowed to $site"
    for label, operator, value in matchers:
        values = known.labels[name].get(label)
        if values is None and label not in TARGET_LABELS:
            yield f"{name} has no label {label}"
        elif values and "$" not in value and not _matches(operator, value, values):
            yield f"no {name} has {label}{operator}{value!r}"


def _matches(operator: str, value: str, values: frozenset[str]) -> bool:
    """Whether each alternative of a pattern is that of some value."""
    patterns = value.split("|") if "~" in operator else [re.escape(value)]
    return all(any(re.fullmatch(pattern, one) for one in values) for pattern in patterns)


PANEL_RULES: tuple[Callable[[Panel, Known], Iterator[str]], ...] = (_words, _form, _way_on, _asks)
