"""Ship what a spool holds to Kafka, without capturing: a replayed spool, one left behind, or an agent in two services.

The spool may have its writer at the same time. Only one forwarder may read it. Metrics are served on `metrics.listen`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from agent.config import AgentConfig
from nigrani.service import log
from nigrani.service.config import load
from nigrani.service.errors import BadConfig, Fault
from nigrani.service.notify import notify
from nigrani.service.stop import Stop


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("--config", metavar="FILE", type=Path, help="agent.yaml")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="override one setting")
    parser.add_argument("--bus", metavar="DIR", type=Path, help="the spool's folder, in place of the configured one")
    parser.add_argument("--until-empty", action="store_true", help="end once everything is acknowledged")
    parser.add_argument("--verbose", action="store_true", help="say more on standard error")


def run(options: argparse.Namespace) -> int:
    """Forward until SIGTERM or SIGINT, or until nothing is left."""
    from prometheus_client import CollectorRegistry  # noqa: PLC0415 - only once the options stand

    from agent.delivery import Delivery  # noqa: PLC0415 - as above
    from agent.setup import bus_folder, make_forwarder  # noqa: PLC0415 - as above
    from nigrani.service.endpoint import Endpoint  # noqa: PLC0415 - as above

    log.start(verbose=options.verbose)
    config = load(AgentConfig, options.config, options.set)
    if not config.kafka.servers:
        where = str(options.config or "configuration")
        raise BadConfig([Fault(where, 0, "no Kafka to forward to", "set kafka.servers, such as [kafka-1:9092]")])
    folder = options.bus or bus_folder(config)
    forwarder = make_forwarder(config, folder, create=False)
    registry = CollectorRegistry()
    registry.register(Delivery(forwarder, folder))
    endpoint = Endpoint(registry, config.metrics.listen)
    stop = Stop()
    notify("READY=1")
    while not stop.asked and not (options.until_empty and forwarder.empty):
        forwarder.turn()
        notify("WATCHDOG=1")
    notify("STOPPING=1")
    forwarder.close()
    endpoint.close()
    return 0
