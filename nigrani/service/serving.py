"""The metrics endpoint of a service that runs, wherever its settings move it."""

from __future__ import annotations

import contextlib

from nigrani.service.endpoint import Endpoint
from nigrani.service.errors import Problem
from nigrani.service.exposition import Collector
from nigrani.service.metrics import MetricsSettings


class Serving:
    """At most one endpoint at a time."""

    def __init__(self, collector: Collector, settings: MetricsSettings) -> None:
        """Raises Problem where it cannot listen."""
        self._collector = collector
        self._settings = settings
        self._endpoint: Endpoint | None = Endpoint(collector, settings)

    def change(self, settings: MetricsSettings) -> None:
        """Serve there from now on. Raises Problem where that cannot be, and serves as before then."""
        self.close()  # the new address may be the old one's port
        try:
            self._endpoint = Endpoint(self._collector, settings)
        except Problem:
            with contextlib.suppress(Problem):  # the first one says enough
                self._endpoint = Endpoint(self._collector, self._settings)
            raise
        self._settings = settings

    def close(self) -> None:
        """Stop serving."""
        if self._endpoint is not None:
            self._endpoint.close()
            self._endpoint = None
