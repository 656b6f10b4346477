"""Ship what a spool holds to Kafka, without capturing: a replayed spool, one left behind, or an agent in two services.

The spool may have its writer at the same time. Only one forwarder may read it. Metrics are served on `metrics.listen`.
SIGHUP has the configuration read anew: what changed of `kafka` and `metrics` is applied.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

from agent.config import AgentConfig
from agent.setup import bus_folder, check_client, make_forwarder
from nigrani.service import log
from nigrani.service.config import load_with_lines
from nigrani.service.errors import BadConfig, Problem
from nigrani.service.hangup import Hangup
from nigrani.service.notify import notify, reloading
from nigrani.service.stop import Stop

if TYPE_CHECKING:
    from nigrani.service.exposition import FamilyLike


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("--config", metavar="FILE", type=Path, help="agent.yaml")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="override one setting")
    parser.add_argument("--bus", metavar="DIR", type=Path, help="the spool's folder, in place of the configured one")
    parser.add_argument("--until-empty", action="store_true", help="end once everything is acknowledged")
    parser.add_argument("--verbose", action="store_true", help="say more on standard error")


def run(options: argparse.Namespace) -> int:
    """Forward until SIGTERM or SIGINT, or until nothing is left."""
    hangup = Hangup()  # first of all: whoever asks too early must not end us
    from agent.reload import Part, Reload  # noqa: PLC0415 - only once the options stand
    from nigrani.service.exposition import Registry  # noqa: PLC0415 - as above
    from nigrani.service.serving import Serving  # noqa: PLC0415 - as above

    log.start(verbose=options.verbose)
    config = read(options)
    forwarding = Forwarding(config, options.bus or bus_folder(config))
    registry = Registry()
    serving = Serving(registry, config.metrics)
    parts = [
        Part("metrics", attrgetter("metrics"), lambda config: serving.change(config.metrics)),
        Part("kafka", attrgetter("kafka"), forwarding.change),
    ]
    reload = Reload(config, lambda: read(options), parts)
    for collector in (forwarding, reload):
        registry.register(collector)
    stop = Stop()
    notify("READY=1")
    while not stop.asked and not (options.until_empty and forwarding.forwarder.empty):
        if hangup.taken():
            reloading()
            notify("READY=1", f"STATUS=configuration {reload()}")
        forwarding.forwarder.turn()
        notify("WATCHDOG=1")
    notify("STOPPING=1")
    forwarding.forwarder.close()
    serving.close()
    return 0


def read(options: argparse.Namespace) -> AgentConfig:
    """The configuration. Raises BadConfig or Problem."""
    loaded = load_with_lines(AgentConfig, options.config, options.set)
    if not loaded.config.kafka.servers:
        remedy = "set kafka.servers, such as [kafka-1:9092]"
        raise BadConfig([loaded.fault("kafka.servers", "no Kafka to forward to", remedy)])
    return loaded.config


class Forwarding:
    """One forwarder after the other, as the settings have it."""

    def __init__(self, config: AgentConfig, folder: Path) -> None:
        """folder: the spool's. Raises Problem."""
        self._config = config
        self._folder = folder
        self.forwarder = make_forwarder(config, folder, create=False)

    def change(self, config: AgentConfig) -> None:
        """Send otherwise from the first event on that is not acknowledged. Raises Problem, and goes on as before then."""
        check_client(config.kafka)
        old = self.forwarder
        old.close()
        try:
            self.forwarder = make_forwarder(config, self._folder, create=False)
        except Problem:
            self.forwarder = make_forwarder(self._config, self._folder, create=False)
            raise
        finally:
            self.forwarder.counts, self.forwarder.dead = old.counts, old.dead  # metrics go on
        self._config = config

    def collect(self) -> Iterable[FamilyLike]:
        """The metrics of the one that is at work."""
        from agent.delivery import Delivery  # noqa: PLC0415 - only for a scrape

        return Delivery(self.forwarder, self._folder).collect()
