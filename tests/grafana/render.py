"""Draws a dashboard's JSON with what a Prometheus answers, for eyes that have no Grafana at hand. It is not Grafana.

    python -m tests.grafana.render http://127.0.0.1:9090 config/grafana/dashboards/nigrani-soc.json --hours 6 > soc.html

Panels stand on the same 24 columns, in Grafana's colours; what the shipped dashboards use is drawn, and no more.
"""

from __future__ import annotations

import argparse
import html
import re
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.grafana.asking import Prometheus, Series, Span, filled
from tests.grafana.charts import PAINTS, Drawn, bar_gauge, graph, heatmap, named
from tests.grafana.dashboards import Dashboard, Panel, load, queries, variables
from tests.grafana.values import colour, shown

COLUMN, LINE, GAP = 59, 38, 8
"""Width and height of a cell, and what is between two panels, in pixels."""
STYLE = """
body{margin:0;background:#111217;color:#ccccdc;font:13px/1.35 "DejaVu Sans",sans-serif}
header{padding:10px 14px;display:flex;gap:18px;align-items:baseline}h1{font-size:19px;margin:0;font-weight:500}
header .var{color:#9a9aab;font-size:12px}header .var b{color:#ccccdc;font-weight:400}
header .own{margin-left:auto;color:#f2a93b;font-size:12px}
main{position:relative}.p{position:absolute;background:#181b1f;border:1px solid #2a2d33;border-radius:3px;overflow:hidden}
.p h2{font-size:13px;font-weight:500;margin:0;padding:6px 9px 2px;height:19px;white-space:nowrap;overflow:hidden}
.row{position:absolute;font-weight:500;padding:9px 4px}
.none{color:#8e8e9e;text-align:center;padding-top:8%}
.stat{display:flex;align-items:center;justify-content:center;gap:22px;text-align:center;height:calc(100% - 27px)}
.stat{font-size:31px}
.stat small{display:block;font-size:13px}
.text{padding:0 12px;font-size:13px}.text a{color:#6e9fff}
table{border-collapse:collapse;width:100%}td,th{padding:4px 9px;text-align:left}
td,th{border-top:1px solid #26292f;white-space:nowrap}th{color:#6e9fff;font-weight:500;border:0}td.n,th.n{text-align:right}
"""


def page(dashboard: Dashboard, prometheus: Prometheus, span: Span, given: Mapping[str, str] | None = None) -> str:
    """The whole dashboard as HTML."""
    parts = [_panel(panel, dashboard, prometheus, span, given) for panel in dashboard["panels"]]
    high = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in dashboard["panels"]) * LINE
    chosen = "".join(
        f'<span class="var">{html.escape(one["label"])} <b>{html.escape(_text(one))}</b></span>'
        for one in variables(dashboard).values()
        if one["name"] != "datasource"
    )
    return (
        f'<!doctype html><meta charset="utf-8"><style>{STYLE}</style><header><h1>{html.escape(dashboard["title"])}</h1>'
        f"{chosen}"
        '<span class="own">drawn by nigrani’s own renderer, not Grafana</span></header>'
        f'<main style="width:{24 * COLUMN + GAP}px;height:{high + GAP}px">{"".join(parts)}</main>'
    )


def _text(variable: dict[str, Any]) -> str:
    value = variable.get("current", {}).get("text", "")
    return ", ".join(value) if isinstance(value, list) else str(value)


def _panel(panel: Panel, dashboard: Dashboard, prometheus: Prometheus, span: Span, given: Mapping[str, str] | None) -> str:
    place = panel["gridPos"]
    left, top = place["x"] * COLUMN + GAP, place["y"] * LINE
    width, height = place["w"] * COLUMN - GAP, place["h"] * LINE - GAP
    title = html.escape(panel["title"])
    if panel["type"] == "row":
        return f'<div class="row" style="left:{left}px;top:{top - 4}px">{title}</div>'
    box, paint = f"left:{left}px;top:{top}px;width:{width}px;height:{height}px", ""
    if panel["type"] == "text":
        inner = _markdown(filled(panel["options"]["content"], dashboard, span, {**_times(span), **(given or {})}))
    else:
        span = span.of(panel)
        drawn = _drawn(panel, _answers(panel, dashboard, prometheus, span, given), span, width - 4, height - 30)
        inner, paint = (
            drawn.inside,
            f";background:{drawn.background};color:{_ink(drawn.background)};border-color:transparent"
            if drawn.background
            else "",
        )
    return f'<div class="p" style="{box}{paint}"><h2>{title}</h2>{inner}</div>'


def _times(span: Span) -> dict[str, str]:
    return {name: time.strftime("%FT%TZ", time.gmtime(at)) for name, at in (("__from", span.start), ("__to", span.end))}


def _answers(
    panel: Panel, dashboard: Dashboard, prometheus: Prometheus, span: Span, given: Mapping[str, str] | None
) -> list[tuple[dict[str, Any], list[Series]]]:
    found = []
    for target, (_, expr) in zip(panel["targets"], queries(panel), strict=True):
        asked = filled(expr, dashboard, span, given)
        found.append((target, prometheus.now(asked, span.end) if target.get("instant") else prometheus.over(asked, span)))
    return found


def _drawn(panel: Panel, answers: list[tuple[dict[str, Any], list[Series]]], span: Span, width: int, height: int) -> Drawn:
    defaults = panel["fieldConfig"]["defaults"]
    series = [
        (named(target.get("legendFormat", ""), one.labels, expression=target["expr"]), one)
        for target, some in answers
        for one in some
    ]
    if not series:
        return Drawn(f'<div class="none">{html.escape(defaults.get("noValue", "No data"))}</div>')
    if panel["type"] == "stat":
        return _stat(panel, series, defaults, span)
    if panel["type"] == "table":
        return Drawn(_table(panel, answers, span))
    if panel["type"] == "bargauge":
        return Drawn(bar_gauge(series, defaults, width, height))
    if panel["type"] == "heatmap":
        return Drawn(heatmap([one for _, one in series], span, width, height))
    return Drawn(graph(panel, series, span, width, height))


def _stat(panel: Panel, series: list[tuple[str, Series]], defaults: dict[str, Any], span: Span) -> Drawn:
    """One value or some side by side; where it is an alarm, the panel takes the worst one's colour."""
    alarm = panel["options"]["colorMode"] == "background"
    parts, paints = [], []
    for name, one in series:
        value = one.points[-1][1]
        paints.append(_paint(colour(value, defaults)))
        small = f"<small>{html.escape(name)}</small>" if "name" in panel["options"]["textMode"] else ""
        ink = _ink(paints[-1]) if alarm else paints[-1]
        parts.append(f'<div style="color:{ink}">{small}{html.escape(shown(value, defaults, span.end))}</div>')
    inside = f'<div class="stat">{"".join(parts)}</div>'
    return Drawn(inside, paints[0] if alarm else "")


def _ink(paint: str) -> str:
    """What can be read on it."""
    red, green, blue = (int(paint[place : place + 2], 16) for place in (1, 3, 5))
    return "#111217" if 0.299 * red + 0.587 * green + 0.114 * blue > 150 else "#ffffff"


def _paint(name: str) -> str:
    return PAINTS.get(name, name)


def _table(panel: Panel, answers: list[tuple[dict[str, Any], list[Series]]], span: Span) -> str:
    rows = _joined(panel, answers)
    organized = next(one["options"] for one in panel["transformations"] if one["id"] == "organize")
    order = sorted(organized["indexByName"], key=organized["indexByName"].__getitem__)
    columns = [name for name in order if not organized["excludeByName"].get(name)]
    by_name = {one["matcher"]["options"]: one["properties"] for one in panel["fieldConfig"]["overrides"]}
    head, body = "", ""
    for name in columns:
        numeric = ' class="n"' if name.startswith("Value") else ""
        head += f"<th{numeric}>{html.escape(organized['renameByName'].get(name, name))}</th>"
    for row in rows:
        body += "<tr>"
        for name in columns:
            title = organized["renameByName"].get(name, name)
            field = {**panel["fieldConfig"]["defaults"], **{one["id"]: one["value"] for one in by_name.get(title, ())}}
            body += _cell(row.get(name), field, span)
        body += "</tr>"
    return f"<table><tr>{head}</tr>{body}</table>"


def _cell(value: float | str | None, field: dict[str, Any], span: Span) -> str:
    if value is None:
        return '<td class="n">–</td>'
    coloured = field.get("custom.cellOptions", {}).get("type") == "color-text"
    if isinstance(value, str):
        options: dict[str, Any] = next((one["options"] for one in field.get("mappings", ())), {})
        ink = _paint(options.get(value, {}).get("color", "")) if coloured else ""
        return f'<td style="color:{ink}">{html.escape(value)}</td>'
    ink = _paint(colour(value, field)) if coloured else ""
    return f'<td class="n" style="color:{ink}">{html.escape(shown(value, field, span.end))}</td>'


def _joined(panel: Panel, answers: list[tuple[dict[str, Any], list[Series]]]) -> list[dict[str, Any]]:
    """Rows by column: those of one query, or of all, put together by a label."""
    join = next((one["options"]["byField"] for one in panel["transformations"] if one["id"] == "joinByField"), None)
    if join is None:
        return [{**one.labels, "Value": one.points[-1][1]} for _, some in answers for one in some]
    found: dict[str, dict[str, Any]] = {}
    for target, some in answers:
        for one in some:
            row = found.setdefault(one.labels[join], {join: one.labels[join]})
            row[f"Value #{target['refId']}"] = one.points[-1][1]
    return [found[key] for key in sorted(found)]


def _markdown(text: str) -> str:
    """Paragraphs, lists, bold and links: what the text panels use."""
    text = html.escape(text, quote=False)
    text = re.sub(r"\[([^\]]+)\]\(([^)]+)\)", r'<a href="\2">\1</a>', re.sub(r"\*\*([^*]+)\*\*", r"<b>\1</b>", text))
    blocks = []
    for block in text.split("\n\n"):
        lines = block.split("\n")
        listed = all(line.startswith("- ") for line in lines)
        blocks.append(f"<ul>{''.join(f'<li>{line[2:]}</li>' for line in lines)}</ul>" if listed else f"<p>{block}</p>")
    return f'<div class="text">{"".join(blocks)}</div>'


def main() -> int:
    """Write the page of one dashboard to standard output."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("url", help="of a Prometheus")
    parser.add_argument("dashboard", type=Path)
    parser.add_argument("--hours", type=float, default=6.0, help="back from --end")
    parser.add_argument("--end", type=float, default=0.0, help="seconds since the epoch; default: now")
    parser.add_argument("--scrape", type=float, default=15.0, help="seconds between scrapes")
    options = parser.parse_args()
    end = options.end or time.time()
    span = Span(end - options.hours * 3600, end, scrape=options.scrape)
    sys.stdout.write(page(load(options.dashboard), Prometheus(options.url), span))
    return 0


if __name__ == "__main__":
    sys.exit(main())
