"""What the benchmark measures beside nigrani: `python bench/peers.py TASK FILE`, with nothing of nigrani loaded.

Run by the peers' own virtual environment, in which nigrani is not installed.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from struct import unpack_from
from typing import Any


def nfstream(path: Path) -> dict[str, int]:
    """One meter, statistics, deep inspection of the first 20 packets of a flow, no sequences."""
    streamer = importlib.import_module("nfstream").NFStreamer(
        source=str(path), statistical_analysis=True, n_dissections=20, splt_analysis=0, n_meters=1
    )
    flows = packets = 0
    for flow in streamer:
        flows += 1
        packets += flow.bidirectional_packets
    return {"flows": flows, "packets": packets}


def scapy_raw(path: Path) -> dict[str, int]:
    """Scapy's reader, and the least that counts flows: addresses, ports and protocol in a dictionary."""
    table: dict[tuple[bytes, int, bytes, int, int], int] = {}
    packets = 0
    for data, _ in importlib.import_module("scapy.utils").RawPcapReader(str(path)):
        packets += 1
        source, target = data[26:30], data[30:34]
        mine, theirs = unpack_from(">HH", data, 34)
        key = (source, mine, target, theirs, data[23])
        if (target, theirs) < (source, mine):
            key = (target, theirs, source, mine, data[23])
        table[key] = table.get(key, 0) + 1
    return {"flows": len(table), "packets": packets}


def scapy_full(path: Path) -> dict[str, int]:
    """Scapy's full dissection."""
    layers = importlib.import_module("scapy.all")
    packets = sum(1 for _ in layers.PcapReader(str(path)))
    return {"packets": packets}


def loads(path: Path) -> dict[str, int]:
    """json.loads of every line, and nothing else."""
    count = 0
    with path.open("rb") as file:
        for line in file:
            json.loads(line)
            count += 1
    return {"events": count}


def sigma_rules(path: Path, folder: Path) -> dict[str, int]:
    """Events a CPU second of sigma-rule-matcher, each event held against the rules of its service that the engine takes."""
    matcher = importlib.import_module("sigma_rule_matcher").RuleMatcher
    parse = importlib.import_module("sigma.rule").SigmaRule.from_yaml
    events = [_nested(json.loads(line)) for line in path.read_bytes().splitlines()]
    by_dataset: dict[str, list[Any]] = {}
    for event in events:
        by_dataset.setdefault(str(event["event"]["dataset"]), [])
    rules = 0
    for file in sorted(folder.glob("*.yml")):
        rule = parse(file.read_text(encoding="utf-8"))
        dataset = DATASETS[str(rule.logsource.service)]
        try:
            one = matcher(rule)
            for event in events:
                one.match(event)
        except (NotImplementedError, ValueError, TypeError, AttributeError):
            continue  # it has no comparison of numbers
        rules += 1
        by_dataset.setdefault(dataset, []).append(one)
    hits, begun = 0, time.process_time()
    for event in events:
        hits += sum(one.match(event) for one in by_dataset[str(event["event"]["dataset"])])
    spent = time.process_time() - begun
    return {"rules": rules, "hits": hits, "per_cpu_s": round(len(events) / spent)}


DATASETS = {
    "flow": "network.flow",
    "dns": "network.dns",
    "dicom": "dicom.association",
    "session": "network.session",
    "hl7": "hl7.message",
    "fhir": "fhir.interaction",
}
"""Service of a rule → dataset of the events."""


def _nested(flat: dict[str, Any]) -> dict[str, Any]:
    """Dotted names as maps in maps, as the engine looks them up."""
    found: dict[str, Any] = {}
    for name, value in flat.items():
        *path, last = name.split(".")
        place = found
        for part in path:
            place = place.setdefault(part, {})
        place[last] = value
    return found


TASKS: dict[str, Callable[..., dict[str, int]]] = {
    "nfstream": nfstream,
    "scapy-raw": scapy_raw,
    "scapy-full": scapy_full,
    "json": loads,
    "sigma-rule-matcher": sigma_rules,
}

if __name__ == "__main__":
    print(json.dumps(TASKS[sys.argv[1]](*map(Path, sys.argv[2:]))))
