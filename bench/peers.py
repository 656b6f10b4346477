"""What the benchmark measures beside nigrani: `python bench/peers.py TASK FILE`, with nothing of nigrani loaded.

Run by the peers' own virtual environment, in which nigrani is not installed.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from struct import unpack_from


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


TASKS: dict[str, Callable[[Path], dict[str, int]]] = {
    "nfstream": nfstream,
    "scapy-raw": scapy_raw,
    "scapy-full": scapy_full,
    "json": loads,
}

if __name__ == "__main__":
    print(json.dumps(TASKS[sys.argv[1]](Path(sys.argv[2]))))
