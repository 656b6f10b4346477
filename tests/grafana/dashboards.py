"""The shipped dashboards as Grafana reads them, and the one form that their files have.

python -m tests.grafana.dashboards      lay the files out anew, after an edit by hand or an export from Grafana
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
GRAFANA = ROOT / "config" / "grafana"
FOLDER = GRAFANA / "dashboards"
WIDTH = 125
"""Of a line; what fits into one is in one."""

Json = Any
Dashboard = dict[str, Any]
Panel = dict[str, Any]


def shipped() -> list[Path]:
    """Their files."""
    return sorted(FOLDER.glob("*.json"))


def load(path: Path) -> Dashboard:
    """One of them."""
    dashboard: Dashboard = json.loads(path.read_text(encoding="utf-8"))
    return dashboard


def variables(dashboard: Dashboard) -> dict[str, dict[str, Any]]:
    """Name → variable."""
    return {one["name"]: one for one in dashboard.get("templating", {}).get("list", [])}


def queries(panel: Panel) -> Iterator[tuple[str, str]]:
    """Reference and expression of each query of a panel."""
    for target in panel.get("targets", []):
        yield target.get("refId", ""), target.get("expr", "")


def variable_query(variable: dict[str, Any]) -> tuple[str, str] | None:
    """Selector and label of a `label_values()`; None of a variable that asks nothing."""
    if variable["type"] != "query":
        return None
    selector, _, label = variable["query"]["query"].removeprefix("label_values(").removesuffix(")").rpartition(",")
    return selector.strip(), label.strip()


def links(panel: Panel) -> Iterator[str]:
    """Where a panel leads: its own links, those of its values and columns, and those in its text."""
    config = panel.get("fieldConfig", {})
    yield from (link["url"] for link in panel.get("links", []))
    yield from (link["url"] for link in config.get("defaults", {}).get("links", []))
    for override in config.get("overrides", []):
        for given in override["properties"]:
            if given["id"] == "links":
                yield from (link["url"] for link in given["value"])
    text = panel.get("options", {}).get("content", "")
    yield from (part.partition(")")[0] for part in text.split("](")[1:])


def laid_out(value: Json, indent: int = 0) -> str:
    """JSON, each object or list in one line where it fits, so that a panel can be read and a change of it reviewed."""
    short = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict | list) or not value or indent + len(short) <= WIDTH:
        return short
    pad, inner = " " * indent, " " * (indent + 2)
    if isinstance(value, dict):
        items = [f"{json.dumps(key)}: {laid_out(one, indent + 2)}" for key, one in value.items()]
        return "{\n" + ",\n".join(inner + item for item in items) + f"\n{pad}}}"
    return "[\n" + ",\n".join(inner + laid_out(one, indent + 2) for one in value) + f"\n{pad}]"


if __name__ == "__main__":
    for path in shipped():
        path.write_text(laid_out(load(path)) + "\n", encoding="utf-8")
