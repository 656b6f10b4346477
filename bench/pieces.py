"""Captures cut and counted the plain way, record by record: the yardstick that shares no code with what is measured.

`python -m bench.pieces FILE` counts; `python -m bench.pieces FILE OUT PACKETS ours|given` cuts. Totals as JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from struct import Struct
from typing import BinaryIO

_ORDERS = {b"\xd4\xc3\xb2\xa1": "<", b"\x4d\x3c\xb2\xa1": "<", b"\xa1\xb2\xc3\xd4": ">", b"\xa1\xb2\x3c\x4d": ">"}


def _records(file: BinaryIO, path: Path) -> Iterator[tuple[bytes, bytes]]:
    start = file.read(24)
    if start[:4] not in _ORDERS:
        raise ValueError(f"{path}: the benchmark reads classic pcap files")
    header = Struct(_ORDERS[start[:4]] + "8xI4x")
    while len(head := file.read(16)) == 16:
        data = file.read(header.unpack(head)[0])
        yield head, data


def count(path: Path) -> dict[str, int]:
    """How many packets the file holds. Raises ValueError for another kind of file."""
    with path.open("rb") as file:
        return {"packets": sum(1 for _ in _records(file, path))}


def cut(path: Path, out: Path, packets: int, *, ours: bool) -> dict[str, int]:
    """Write the file's first packets; returns their totals.

    ours: the file is from `bench.traffic`, all Ethernet, IPv4 without options, TCP or UDP, so that bytes and flows have
    a plain answer too. Raises ValueError for another kind of file.
    """
    totals = {"packets": 0, "ip_bytes": 0}
    flows: set[frozenset[bytes]] = set()
    with path.open("rb") as file, out.open("wb") as piece:
        piece.write(file.read(24))
        file.seek(0)
        for head, data in _records(file, path):
            piece.write(head + data)
            totals["packets"] += 1
            totals["ip_bytes"] += int.from_bytes(data[16:18])
            flows.add(frozenset((data[23:24] + data[26:30] + data[34:36], data[23:24] + data[30:34] + data[36:38])))
            if totals["packets"] == packets:
                break
    return totals | {"flows": len(flows)} if ours else {"packets": totals["packets"]}


if __name__ == "__main__":
    source, *rest = sys.argv[1:]
    if rest:
        target, packets, ours = rest
        print(json.dumps(cut(Path(source), Path(target), int(packets), ours=ours == "ours")))
    else:
        print(json.dumps(count(Path(source))))
