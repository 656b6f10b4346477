"""Watch network interfaces and logs: packets and lines to events on the bus, and on to Kafka, until told to stop.

Without `kafka.servers` events stay on the bus. Interfaces need CAP_NET_RAW. Metrics are served on `metrics.listen`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from agent.config import AgentConfig
from agent.sources.settings import Logs
from nigrani.service import log
from nigrani.service.config import load
from nigrani.service.errors import BadConfig, Fault, Problem
from nigrani.service.notify import notify
from nigrani.service.stop import Stop


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("--config", metavar="FILE", type=Path, help="agent.yaml")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="override one setting")
    parser.add_argument("--verbose", action="store_true", help="say more on standard error")


def run(options: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    from agent.service import AgentService  # noqa: PLC0415 - only once the options stand
    from agent.setup import bus_folder, make_forwarder  # noqa: PLC0415 - as above
    from nigrani.service.endpoint import Endpoint  # noqa: PLC0415 - as above
    from nigrani.stream.spool import Spool  # noqa: PLC0415 - as above

    log.start(verbose=options.verbose)
    config = load(AgentConfig, options.config, options.set)
    if not config.interfaces and config.logs == Logs():
        where = str(options.config or "configuration")
        raise BadConfig([Fault(where, 0, "nothing to watch", "set interfaces, such as [eth0], or logs")])
    folder = bus_folder(config)
    try:
        spool = Spool.open(folder, max_bytes=config.bus.max_bytes, fsync=config.bus.fsync)
    except (OSError, ValueError) as error:
        raise Problem(str(error)) from None
    forwarder = make_forwarder(config, folder) if config.kafka.servers else None
    service = AgentService(config, spool, options.config)
    if forwarder is not None:
        service.forwards(forwarder, folder)
    endpoint = Endpoint(service.registry, config.metrics.listen)
    stop = Stop()
    if forwarder is not None:
        forwarder.start()
    notify("READY=1")
    while not stop.asked:
        service.step()
        if forwarder is None or forwarder.runs:
            notify("WATCHDOG=1")
    notify("STOPPING=1")
    service.close()
    if forwarder is not None:
        forwarder.stop()
    spool.close()
    endpoint.close()
    return 0
