#!/usr/bin/env python3
"""Check a recorded morning: that it is whole, that its clocks agree, that each attack left what its label says."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from lab.frames import TCP, UDP, Frame, frames, packets

MAX_BYTES = 12_000_000
MAX_SILENCE = 15.0
LEAST_IN_LEARN = 8
AFTERMATH = 3.0
HL7_PORT, SMB_PORT, DNS_PORT = 2575, 445, 53
Behaviour = tuple[str, str, str]


@dataclass(frozen=True)
class Morning:
    """A recording, read."""

    folder: Path
    labels: dict[str, Any]
    frames: list[Frame]
    log: list[dict[str, Any]]

    def phase(self, name: str) -> tuple[float, float]:
        """Tell when a phase began and ended."""
        return next((p["start"], p["end"]) for p in self.labels["phases"] if p["name"] == name)

    def attack_at(self, time: float) -> str | None:
        """Tell the attack under way, or just over, at a time."""
        for attack in self.labels["attacks"]:
            if attack["start"] <= time <= attack["end"] + AFTERMATH:
                return str(attack["name"])
        return None


def read_morning(folder: Path) -> Morning:
    """Read the capture, the log and the labels."""
    labels = yaml.safe_load((folder / "labels.yaml").read_text())
    log = [json.loads(line) for line in (folder / "ai-gateway.log").read_text().splitlines()]
    return Morning(folder, labels, list(frames(folder / "capture.pcap")), log)


def whole(morning: Morning) -> list[str]:
    """Complain of a capture that is too large, silent for long, or dropped packets."""
    path = morning.folder / "capture.pcap"
    times = [time for time, _, _ in packets(path)]
    silence = max(after - before for before, after in pairwise(times))
    dropped = morning.labels["made"]["packets"]["dropped_by_kernel"]
    size = path.stat().st_size
    print(f"{len(times)} packets, {size} bytes, longest silence {silence:.1f} s, {dropped} dropped")
    complaints = [f"{dropped} packets were dropped"] if dropped else []
    complaints += [f"{silence:.1f} s without a packet"] if silence > MAX_SILENCE else []
    return complaints + ([f"{size} bytes are more than {MAX_BYTES}"] if size > MAX_BYTES else [])


def clocks(morning: Morning) -> list[str]:
    """Complain of a log line without a packet from its client to the gateway in the second before."""
    gateway = next(host["address"] for host in morning.labels["hosts"] if host["name"] == "ai")
    seen = {(f.source, int(f.time * 10)) for f in morning.frames if f.target == gateway and f.payload}
    print(f"{len(morning.log)} lines of the gateway's log")
    return [
        f"no packet for the log line of {line['client']} at {line['msec']}"
        for line in morning.log
        if not any((line["client"], int(line["msec"] * 10) - back) in seen for back in range(11))
    ]


def behaviours(frame: Frame) -> Iterable[Behaviour]:
    """Name what a frame begins: a connection, a DICOM association (PS3.8 section 9.3.2), a datagram to a service."""
    if frame.opens:
        yield frame.source, frame.target, f"tcp/{frame.target_port}"
    if frame.protocol == UDP and frame.target_port < 10_000:
        yield frame.source, frame.target, f"udp/{frame.target_port}"
    if frame.protocol == TCP and frame.payload[:2] == b"\1\0" and frame.payload[6:8] == b"\0\1":
        called, calling = (frame.payload[at : at + 16].decode("latin-1").strip() for at in (10, 26))
        yield frame.source, frame.target, f"AE {calling} to {called}"


def familiar(morning: Morning) -> list[str]:
    """Complain of benign behaviour that the learning phase shows too seldom."""
    learned: Counter[Behaviour] = Counter()
    later: Counter[Behaviour] = Counter()
    end = morning.phase("learn")[1]
    for frame in morning.frames:
        if frame.time < end:
            learned.update(behaviours(frame))
        elif morning.attack_at(frame.time) is None:
            later.update(behaviours(frame))
    rare = {**learned, **later}.keys() - {one for one, count in learned.items() if count >= LEAST_IN_LEARN}
    print(f"{len(learned)} benign behaviours, the rarest {min(learned.values())} times in the learning phase")
    return [f"{' '.join(one)}: {learned[one]} times in the learning phase, {later[one]} later" for one in sorted(rare)]


def ports_tried(found: Sequence[Frame], _log: Sequence[dict[str, Any]]) -> int:
    """Count the distinct targets and ports of opened connections."""
    return len({(f.target, f.target_port) for f in found if f.opens})


def rejections(found: Sequence[Frame], _log: Sequence[dict[str, Any]]) -> int:
    """Count A-ASSOCIATE-RJ (PS3.8 section 9.3.4): type 3, ten bytes."""
    return sum(f.payload[:2] == b"\3\0" and len(f.payload) == 10 for f in found)


def associations(found: Sequence[Frame], _log: Sequence[dict[str, Any]]) -> int:
    """Count A-ASSOCIATE-RQ."""
    return sum(what.startswith("AE ") for f in found for _, _, what in behaviours(f))


def to_dropbox(found: Sequence[Frame], _log: Sequence[dict[str, Any]]) -> int:
    """Count associations called DROPBOX."""
    return sum(what.endswith(" DROPBOX") for f in found for _, _, what in behaviours(f))


def to_cloud(found: Sequence[Frame], _log: Sequence[dict[str, Any]]) -> int:
    """Count image bytes on port 104."""
    return sum(f.length for f in found if f.target_port == 104)


def acknowledgements(found: Sequence[Frame], _log: Sequence[dict[str, Any]]) -> int:
    """Count positive HL7 acknowledgements."""
    return sum(b"MSA|AA" in f.payload for f in found if f.source_port == HL7_PORT)


def inferences(_found: Sequence[Frame], log: Sequence[dict[str, Any]]) -> int:
    """Count log lines."""
    return len(log)


def renames(found: Sequence[Frame], _log: Sequence[dict[str, Any]]) -> int:
    """Count SMB2 requests that carry a name ending in .locked."""
    return sum(".locked".encode("utf-16-le") in f.payload for f in found if f.target_port == SMB_PORT)


def tls_bytes(found: Sequence[Frame], _log: Sequence[dict[str, Any]]) -> int:
    """Count bytes on the wire to port 443 of the drop."""
    return sum(f.length for f in found if f.target_port == 443)


def tunnel_queries(found: Sequence[Frame], _log: Sequence[dict[str, Any]]) -> int:
    """Count DNS queries of the tunnel's domain."""
    return sum(f.target_port == DNS_PORT and b"\x08cdn-sync\x04test" in f.payload for f in found)


Evidence = Callable[[Sequence[Frame], Sequence[dict[str, Any]]], int]
EVIDENCE: dict[str, tuple[Evidence, int, str]] = {
    "port_scan": (ports_tried, 1000, "ports tried"),
    "ae_guess": (rejections, 60, "associations rejected"),
    "cfind_enumeration": (associations, 60, "associations"),
    "bulk_cmove": (to_dropbox, 35, "associations to DROPBOX"),
    "dicom_cleartext_out": (to_cloud, 250_000, "bytes to port 104"),
    "hl7_flood": (acknowledgements, 900, "messages acknowledged"),
    "ai_extraction": (inferences, 500, "inferences logged"),
    "smb_ransomware": (renames, 140, "files renamed to .locked"),
    "tls_exfiltration": (tls_bytes, 7_000_000, "bytes to port 443"),
    "dns_tunnel": (tunnel_queries, 290, "queries of the tunnel's domain"),
}


def attacked(morning: Morning) -> list[str]:
    """Complain of an attack whose traces are fewer than its label promises."""
    complaints = []
    for attack in morning.labels["attacks"]:
        count_of, least, unit = EVIDENCE[attack["name"]]
        start, end = attack["start"], attack["end"] + 1
        sides = {attack["attacker"]}
        if attack["name"] == "bulk_cmove":
            sides.add(next(h["address"] for h in morning.labels["hosts"] if h["name"] == "rogue"))
        found = [f for f in morning.frames if start <= f.time <= end and sides & {f.source, f.target}]
        log = [line for line in morning.log if start <= line["msec"] <= end and line["client"] in sides]
        count = count_of(found, log)
        print(f"{attack['name']:20} {attack['end'] - attack['start']:5.0f} s  {count} {unit}")
        complaints += [f"{attack['name']}: {count} {unit}, fewer than {least}"] if count < least else []
    return complaints


def main() -> int:
    """Exit 0 when all is well, 1 with the complaints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="with capture.pcap, ai-gateway.log and labels.yaml")
    morning = read_morning(parser.parse_args().folder)
    complaints = [complaint for check in (whole, clocks, familiar, attacked) for complaint in check(morning)]
    print("\n".join(complaints), file=sys.stderr)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
