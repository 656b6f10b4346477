"""Asks a Prometheus what a dashboard's panels ask, with its variables and times put in as Grafana does."""

from __future__ import annotations

import json
import math
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any, NamedTuple

from tests.grafana.dashboards import Dashboard, Panel, variables

SECONDS = 30.0
VARIABLE = re.compile(r"\$(?:\{(\w+)(?::\w+)*\}|(\w+))")


class QueryError(Exception):
    """Prometheus did not take a query."""


class Series(NamedTuple):
    """One of an answer."""

    labels: dict[str, str]
    points: list[tuple[float, float]]
    """Time and value."""


class Span(NamedTuple):
    """The time that a dashboard shows, in seconds since the epoch."""

    start: float
    end: float
    points: int = 300
    """How many a graph is wide."""
    scrape: float = 15.0
    """Seconds between two scrapes."""
    least: float = 0.0
    """Seconds between two points, at least."""

    @property
    def step(self) -> float:
        """Seconds between two points of a graph."""
        return max((self.end - self.start) / self.points, self.scrape, self.least)

    @property
    def rate(self) -> float:
        """What `$__rate_interval` is: at least four scrapes, and no gap between two points."""
        return max(self.step + self.scrape, 4 * self.scrape)

    def of(self, panel: Panel) -> Span:
        """The same, as a panel has it that says how far apart its points are at least."""
        return self._replace(least=60.0 * float(panel["interval"].removesuffix("m"))) if "interval" in panel else self


def filled(text: str, dashboard: Dashboard, span: Span, given: Mapping[str, str] | None = None) -> str:
    """A query or link with its variables put in: those given, else each one's own value, else all."""
    values = {
        "__rate_interval": f"{math.ceil(span.rate)}s",
        "__range": f"{math.ceil(span.end - span.start)}s",
        "__interval_ms": f"{span.step * 1000:.0f}",
        **{name: _own(one) for name, one in variables(dashboard).items()},
        **(given or {}),
    }
    return VARIABLE.sub(lambda match: values[match[1] or match[2]], text)


def _own(variable: dict[str, Any]) -> str:
    value = variable.get("current", {}).get("value", "")
    return variable.get("allValue", ".*") if value == ["$__all"] else str(value)


class Prometheus:
    """One that runs."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.since = time.monotonic()
        self.page = ""
        """Of the detector that it scrapes."""

    def now(self, expr: str, at: float | None = None) -> list[Series]:
        """An answer at one moment. Raises QueryError."""
        told = self._ask("query", {"query": expr} | ({"time": f"{at:.3f}"} if at is not None else {}))
        if told["resultType"] == "scalar":
            return [Series({}, [(float(told["result"][0]), float(told["result"][1]))])]
        return [Series(one["metric"], [_point(one["value"])]) for one in told["result"]]

    def over(self, expr: str, span: Span) -> list[Series]:
        """An answer for each point of a graph. Raises QueryError."""
        start, end = (at // span.step * span.step for at in (span.start, span.end))  # as Grafana does
        asked = {"query": expr, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{span.step:.3f}"}
        return [
            Series(one["metric"], [_point(p) for p in one["values"]]) for one in self._ask("query_range", asked)["result"]
        ]

    def label_values(self, selector: str, label: str) -> list[str]:
        """As the variable's `label_values()`."""
        found = self._ask("series", {"match[]": selector})
        return sorted({one[label] for one in found if label in one})

    def _ask(self, what: str, asked: Mapping[str, str]) -> Any:
        body = urllib.parse.urlencode(asked).encode()
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{what}", body, timeout=SECONDS) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise QueryError(f"{asked}: {json.loads(error.read()).get('error')}") from None


def _point(pair: list[Any]) -> tuple[float, float]:
    return float(pair[0]), float(pair[1])
