"""How the agent that runs on this host is: the gist first, then a line for each part. Asks its metrics endpoint.

Exit code 0 where it is well, 1 where it does not run, an interface is down, packets or events are being lost, Kafka is in
trouble, or the last configuration was refused; the first line says why.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from agent.config import AgentConfig
from agent.reading import Place, fetch, place_of
from agent.status import Rates, facts, reasons
from nigrani.service.config import load
from nigrani.service.errors import Problem, Usage

DEFAULT = Path("/etc/nigrani/agent.yaml")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    where(parser)
    parser.add_argument(
        "--interval", metavar="SECONDS", type=seconds, default=1.0, help="between the two looks (default: 1)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")


def where(parser: argparse.ArgumentParser) -> None:
    """Declare the options that say which agent is meant."""
    parser.add_argument("--config", metavar="FILE", type=Path, help=f"its agent.yaml; default: {DEFAULT}, where it is there")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="override one setting")
    parser.add_argument("--metrics", metavar="URL", help="its endpoint, in place of the configured one")


def place(options: argparse.Namespace) -> Place:
    """Where that agent's metrics are."""
    path = options.config or (DEFAULT if DEFAULT.exists() else None)
    configured = place_of(load(AgentConfig, path, options.set).metrics)
    return configured._replace(url=options.metrics) if options.metrics else configured


def seconds(text: str) -> float:
    """For --interval."""
    found = float(text)
    if not 0.1 <= found <= 3600:
        raise argparse.ArgumentTypeError("from 0.1 to 3600 seconds")
    return found


def run(options: argparse.Namespace) -> int:
    """Look twice, and tell."""
    there = place(options)
    try:
        before = fetch(there)
        time.sleep(options.interval)
        rates = Rates(before, fetch(there))
        if rates.now.value("events_total") is None and not rates.now.word("forward_state", "state"):
            raise Problem(f"no agent's metrics at {there.url}")  # noqa: TRY301 - one way to tell
    except Usage:
        raise
    except Problem as problem:
        if options.json:
            sys.stdout.write(json.dumps({"well": False, "reasons": [str(problem)], "facts": {}}) + "\n")
        else:
            sys.stdout.write(f"not well: {problem}\n")
        return 1
    why = list(reasons(rates))
    told = dict(facts(rates))
    if options.json:
        json.dump({"well": not why, "reasons": why, "facts": told}, sys.stdout, ensure_ascii=False)
        sys.stdout.write("\n")
    else:
        sys.stdout.write(("not well: " + "; ".join(why) if why else "well") + "\n")
        width = max(map(len, told))
        sys.stdout.writelines(f"  {name.ljust(width)}  {text}\n" for name, text in told.items())
    return 1 if why else 0
