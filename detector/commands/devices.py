"""Tell what class each device is taken for, by the baseline or by the site's word for it.

Without DEVICE those that the baseline knows the habits of, and those that `devices.tokens` names. A class that is wrong is
put right there; what `devices.zones` names goes by the zone of each event, and is not told here.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from detector.config import DetectorConfig
from detector.setup import load_knowledge
from nigrani.service.config import load
from nigrani.service.key import state_folder
from nigrani.service.table import lines


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("devices", metavar="DEVICE", nargs="*", help="a device's token, as alerts have it")
    parser.add_argument("--baseline", metavar="FILE", type=Path, help="default: the detector's own")
    parser.add_argument("--config", metavar="FILE", type=Path, help="detector.yaml")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="override one setting")
    parser.add_argument("--json", action="store_true", help="NDJSON on standard output")


def run(options: argparse.Namespace) -> int:
    """Tell."""
    config = load(DetectorConfig, options.config, options.set)
    path = options.baseline or config.baseline.path or state_folder() / "baseline.npz"
    knowledge = load_knowledge(path, config.baseline.trusted)
    named = config.devices.tokens
    told = knowledge.classes.of if knowledge.classes is not None else lambda _token: None
    rows = [
        (token, named.get(token) or told(token), "the site" if token in named else "the baseline")
        for token in options.devices or sorted({*knowledge.habits.devices, *named})
    ]
    if options.json:
        for row in rows:
            sys.stdout.write(json.dumps(dict(zip(("device", "class", "by"), row, strict=True))) + "\n")
    else:
        for line in lines(("device", "class", "by"), rows):
            sys.stdout.write("".join(letter if letter.isprintable() else " " for letter in line) + "\n")
    return 0
