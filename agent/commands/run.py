"""Watch network interfaces and logs: packets and lines to events on the bus, and on to Kafka, until told to stop.

Without `kafka.servers` events stay on the bus. Interfaces need CAP_NET_RAW. Metrics are served on `metrics.listen`.
SIGHUP has the configuration read anew: what changed is applied, or, where that cannot be, the old one stays.
"""

from __future__ import annotations

import argparse
import gc
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

from agent.config import AgentConfig
from agent.sources.settings import Logs
from nigrani.service import log
from nigrani.service.config import Loaded, load_with_lines
from nigrani.service.errors import BadConfig, Problem
from nigrani.service.hangup import Hangup
from nigrani.service.notify import notify, reloading
from nigrani.service.stop import Stop

if TYPE_CHECKING:
    from agent.dispatch import Dispatch
    from agent.reload import Part
    from agent.service import AgentService
    from nigrani.service.serving import Serving


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("--config", metavar="FILE", type=Path, help="agent.yaml")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="override one setting")
    parser.add_argument("--verbose", action="store_true", help="say more on standard error")


def run(options: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT; SIGHUP has the configuration read anew."""
    hangup = Hangup()  # first of all: whoever asks too early must not end us
    from agent.dispatch import Dispatch  # noqa: PLC0415 - only once the options stand
    from agent.reload import Reload  # noqa: PLC0415 - as above
    from agent.service import AgentService  # noqa: PLC0415 - as above
    from agent.setup import bus_folder  # noqa: PLC0415 - as above
    from agent.standing import Standing  # noqa: PLC0415 - as above
    from nigrani.service.exposition import Registry  # noqa: PLC0415 - as above
    from nigrani.service.serving import Serving  # noqa: PLC0415 - as above
    from nigrani.stream.spool import Spool  # noqa: PLC0415 - as above

    log.start(verbose=options.verbose)
    config = read(options).config
    folder = bus_folder(config)
    try:
        spool = Spool.open(folder, max_bytes=config.bus.max_bytes, fsync=config.bus.fsync)
    except (OSError, ValueError) as error:
        raise Problem(str(error)) from None
    dispatch = Dispatch(config, folder)
    service = AgentService(config, spool)
    standing = Standing(service, dispatch.trouble)
    registry = Registry()
    serving = Serving(registry, config.metrics)
    reload = Reload(config, lambda: read(options).config, parts(service, dispatch, serving))
    for collector in (service.registry, dispatch, reload, standing):
        registry.register(collector)
    stop = Stop()
    dispatch.start()
    _rest_from_garbage()
    notify("READY=1", f"STATUS={standing.line()}")
    while not stop.asked:
        if hangup.taken():
            reloading()
            result = reload()
            if result != "unchanged":
                service.reloaded(reload.config)
            notify("READY=1", f"STATUS=configuration {result}")
        service.step()
        if dispatch.runs:
            notify("WATCHDOG=1")
        if standing.due():
            notify(f"STATUS={standing.line()}")
    notify("STOPPING=1")
    service.close()
    dispatch.stop()
    spool.close()
    serving.close()
    return 0


def read(options: argparse.Namespace) -> Loaded[AgentConfig]:
    """The configuration. Raises BadConfig or Problem."""
    loaded = load_with_lines(AgentConfig, options.config, options.set)
    if not loaded.config.interfaces and loaded.config.logs == Logs():
        raise BadConfig([loaded.fault("interfaces", "nothing to watch", "set interfaces, such as [eth0], or logs")])
    return loaded


def parts(service: AgentService, dispatch: Dispatch, serving: Serving) -> list[Part]:
    """What follows the configuration while the agent runs; what cannot fail comes last."""
    from agent.reload import Part  # noqa: PLC0415 - as in run

    return [
        Part("capture", lambda config: (config.interfaces, config.capture), service.change_capture),
        Part("logs", attrgetter("logs"), service.change_logs),
        Part("metrics", attrgetter("metrics"), lambda config: serving.change(config.metrics)),
        Part("clock", attrgetter("clock"), service.change_clock),
        Part("kafka", attrgetter("kafka"), dispatch.change),
        Part("privacy", lambda config: (config.privacy, config.host), service.change_privacy),
    ]


def _rest_from_garbage() -> None:
    """Look for cycles seldom, and not among what was loaded: events and records are in none, and there are many of them."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 50, 1_000)
