"""Run the detector: events from the bus in, alerts and Prometheus metrics out, until it is told to stop.

Rule files that change, or SIGHUP, have the rules loaded anew; where they have faults, the rules before stay in force.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from detector.config import DetectorConfig
from detector.setup import make_service, start_cases, start_page
from nigrani.service import log
from nigrani.service.config import load
from nigrani.service.endpoint import Endpoint
from nigrani.service.hangup import Hangup
from nigrani.service.notify import notify
from nigrani.service.stop import Stop


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("--verbose", action="store_true", help="say more on standard error")
    parser.add_argument("--config", metavar="FILE", type=Path, help="detector.yaml")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="override one setting")


def run(options: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    log.start(verbose=options.verbose)
    config = load(DetectorConfig, options.config, options.set)
    service = make_service(config)
    cases = start_cases(config, service)
    page = start_page(config, service, cases)
    endpoint = Endpoint(service.metrics.registry, config.metrics)
    stop = Stop()
    hangup = Hangup()
    service.watch_rules()
    if page is not None and page.url:
        logging.getLogger(__name__).info("cases on %s", page.url)
    notify("READY=1")
    while not stop.asked:
        if hangup.taken():
            service.load_rules()
        service.step(timeout=0.5)
        notify("WATCHDOG=1")
    notify("STOPPING=1")
    service.close()
    if page is not None:
        page.close()
    if cases is not None:
        cases.close()
    endpoint.close()
    return 0
