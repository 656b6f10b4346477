"""The page's own metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from detector.page.server import PageServer

STATUSES = ("2xx", "3xx", "4xx", "5xx")
CUTS = ("crowded", "slow")
"""Why we ended a connection: for a newer one, or for its age."""
LOGIN = "login"

Tally = Counter[str]
"""What the page counts, by words of the lists above."""


class PageMetrics(Collector):
    """Read when Prometheus asks."""

    def __init__(self, page: PageServer | None) -> None:
        self._page = page

    def collect(self) -> Iterator[Metric]:
        """All of them; every series is there from the start."""
        tally: Tally = self._page.tally if self._page else Counter()
        requests = CounterMetricFamily("nigrani_page_requests", "Requests to the page of cases answered.", labels=["status"])
        for status in STATUSES:
            requests.add_metric([status], tally[status])
        yield requests
        cuts = CounterMetricFamily(
            "nigrani_page_connections_cut", "Connections to the page that we ended.", labels=["reason"]
        )
        for reason in CUTS:
            cuts.add_metric([reason], tally[reason])
        yield cuts
        yield CounterMetricFamily("nigrani_page_logins_refused", "Logins with a wrong name or password.", value=tally[LOGIN])
        up = float(bool(self._page and self._page.url))
        yield GaugeMetricFamily("nigrani_page_up", "1 while the page of cases is served.", value=up)
