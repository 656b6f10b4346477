"""The log formats, each on lines as they are cut from a file."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC
from functools import partial

from agent.log import MAX_LINE
from agent.logs import FORMATS
from agent.sources.cut import cutter
from tests.fuzz.target import DATA, MAX_STATE, Target, event_of, held

ARRIVAL = 1_790_000_000_000_000
FILES = {
    "ai-gateway": ("gateway.ndjson",),
    "ai-http-access": ("http_access.log",),
    "dicom-audit": ("atna_dicom.xml", "atna_rfc3881.xml"),
    "nvflare-audit": ("nvflare_audit.log",),
    "orthanc": ("orthanc.log",),
    "training-ledger": ("training_ledger.ndjson",),
    "triton-trace": ("triton_trace.json",),
}


def run(name: str, data: bytes) -> list[object]:
    """What the format tells of each record, and how many are refused."""
    form = FORMATS[name](UTC)
    cut = cutter(form.framing, MAX_LINE)
    told: list[object] = []
    refused = 0
    for line in [*cut.feed(data), *cut.rest()]:
        try:
            fact = form.parse(line, ARRIVAL)
        except ValueError:
            refused += 1
            continue
        told.append(event_of(fact) if fact is not None else "")
    assert held(form, cut) < MAX_STATE
    return [refused, cut.skipped, *told]


def seeds(name: str) -> Iterable[bytes]:
    """Lines one by one, and files."""
    for file in FILES[name]:
        content = (DATA / "logs" / file).read_bytes()
        yield content[:8192]
        yield from content.splitlines()


TARGETS = {name: Target(name, partial(run, name), partial(seeds, name)) for name in FORMATS}
