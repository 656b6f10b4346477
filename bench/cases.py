"""The case store: how fast findings go in, how a storm ends, and how long a page of a full store takes.

`python -m bench.cases [--quick]`; figures as JSON. Findings are made here, in the form that the detector writes them.
"""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from detector.alert import Alert, Reason, alert_id
from detector.cases.case import Filter
from detector.cases.log import MOST
from detector.cases.store import Store

FULL, QUICK = 100_000, 10_000
"""Findings of the full store."""
STORM = 50_000
RATE = 1000
"""Findings a second that must go in while pages are read."""
SECONDS = 10
REPEAT = 5
BEGIN = datetime(2026, 3, 2, 8, tzinfo=UTC)
KINDS = tuple(f"{name}_{number}" for number in range(30) for name in ("probe", "flood", "login", "copy", "tunnel"))
WORM = ("smb_sweep", "rename_write_burst", "remote_service_control", "kerberos_names", "tunnel")
LEVELS = ("medium", "medium", "medium", "high", "critical")
ZONES = ("imaging", "clinical", "workstations", "ai", "laboratory")
CLASSES = ("modality", "pacs", "workstation", "lab", "unknown")


def finding(kind: str, device: str, when: datetime, number: int, level: str = "medium", peer: str = "ip:0000") -> bytes:
    """One finding, as long as they are in truth."""
    reason = Reason("destination ports", 41.0, 2.0, 6.0, 10_000, own=True, minutes=10_080)
    alert = Alert(
        id=alert_id(kind, device, number),
        kind=kind,
        slug=kind,
        title=f"{kind.replace('_', ' ').capitalize()} of a device",
        severity=level,
        device=device,
        zone=ZONES[hash_of(device) % len(ZONES)],
        device_class=CLASSES[hash_of(device) % len(CLASSES)],
        when=when,
        first=when - timedelta(seconds=40),
        source="rule",
        description="What one device does within a minute that it never did before, and that attackers do. " * 3,
        because=["41 different destination ports within 60 s (rule: more than 40)", "network.transport = tcp"],
        about=[f"{device} → {peer} port 445 (imaging)", "smb2, TREE_CONNECT, share C$, ACCESS_DENIED"],
        reasons=[reason, reason, reason],
        attack=["T1021.002", "T1046"],
        matrix="ATT&CK v19, ATLAS 5.6.0",
        false_positives=["Inventory scanners and backup programs of the hospital's own administrators."],
        first_steps=["Ask who works at the device now.", "Look at what it reached.", "Leave it connected while it treats."],
        runbook="lateral#smb-sweep",
        risk=60,
        model="0123456789ab",
        events=[f"{number:026x}"],
    )
    return msgspec.json.encode(alert.ocsf())


def hash_of(text: str) -> int:
    """The same in every process."""
    return sum(text.encode())


def storm(count: int = STORM, devices: int = 800, hours: float = 6.0, seed: int = 7) -> Iterator[bytes]:
    """What one worm leads to: from device to device, faster and faster, and several kinds of finding about each."""
    chance = random.Random(seed)
    names = [f"ip:{number:016x}" for number in range(devices)]
    for number in range(count):
        share = number / count
        reached = max(1, round(devices * share**0.5))
        device = names[chance.randrange(reached)]
        kind = WORM[min(int(chance.expovariate(0.9)), len(WORM) - 1)]
        when = BEGIN + timedelta(hours=hours * share, seconds=chance.random())
        yield finding(kind, device, when, number, LEVELS[WORM.index(kind)], peer=names[chance.randrange(devices)])


def life(count: int, devices: int = 3000, seed: int = 11) -> Iterator[bytes]:
    """A year of findings that have nothing to do with each other."""
    chance = random.Random(seed)
    step = timedelta(days=300) / count
    for number in range(count):
        device, kind = f"ip:{chance.randrange(devices):016x}", KINDS[chance.randrange(len(KINDS))]
        yield finding(kind, device, BEGIN - timedelta(days=300) + number * step, number, chance.choice(LEVELS), peer="")


def fill(store: Store, findings: list[bytes]) -> float:
    """Seconds that it takes, in batches as the intake has them."""
    began = time.perf_counter()
    for at in range(0, len(findings), MOST):
        store.add(findings[at : at + MOST], str(at))
    return time.perf_counter() - began


def pages(store: Store) -> dict[str, float]:
    """Milliseconds of each kind of page, the worst of some."""
    one = store.findings(limit=1).items[0]
    deep, case = _deep(store), store.cases(limit=1).items[0]
    since = BEGIN - timedelta(days=100)
    several = Filter(severity="high", zone=one.zone, since=since, text="login", state="open")
    asked: dict[str, Callable[[], object]] = {
        "findings: first page": store.findings,
        "findings: page in the middle": lambda: store.findings(after=deep),
        "findings: kind": lambda: store.findings(Filter(kind=one.kind)),
        "findings: device": lambda: store.findings(Filter(device=one.device)),
        "findings: zone": lambda: store.findings(Filter(zone=one.zone)),
        "findings: device class": lambda: store.findings(Filter(device_class=one.device_class)),
        "findings: severity": lambda: store.findings(Filter(severity="critical")),
        "findings: time": lambda: store.findings(Filter(since=since, until=since + timedelta(days=30))),
        "findings: text": lambda: store.findings(Filter(text="TUNNEL 1")),
        "findings: text that is nowhere": lambda: store.findings(Filter(text="nowhere")),
        "findings: state": lambda: store.findings(Filter(state="active")),
        "findings: assignee": lambda: store.findings(Filter(assignee="nobody")),
        "findings: several": lambda: store.findings(several),
        "findings: of a case": lambda: store.findings(Filter(case=case.number)),
        "cases: first page": store.cases,
        "cases: urgent": lambda: store.cases(order="urgent"),
        "cases: kind": lambda: store.cases(Filter(kind=one.kind)),
        "cases: zone": lambda: store.cases(Filter(zone=one.zone)),
        "cases: text": lambda: store.cases(Filter(text="TUNNEL 1", state="active")),
        "one case": lambda: (store.case(case.number), store.history(case.number), store.related(case.number)),
        "metrics": store.counts,
    }  # fmt: skip
    return {name: _worst(ask) for name, ask in asked.items()}


def _deep(store: Store) -> str | None:
    """A place half-way down the list."""
    total, after = store.findings(limit=1).total, None
    for _ in range(total // 2000):
        after = store.findings(limit=1000, after=after).after
    return after


def _worst(ask: Callable[[], object]) -> float:
    spent = []
    for _ in range(REPEAT):
        began = time.perf_counter()
        ask()
        spent.append(time.perf_counter() - began)
    return round(max(spent) * 1000, 2)


def steady(store: Store, findings: list[bytes]) -> dict[str, Any]:
    """RATE findings a second beside a reader; how late the last were in the store, and how long pages took meanwhile."""
    stop, slowest = threading.Event(), [0.0]

    def read() -> None:
        while not stop.wait(0.05):
            slowest[0] = max(slowest[0], _worst(lambda: store.cases(limit=50)))

    reader = threading.Thread(target=read)
    reader.start()
    before = store.counts().taken
    late, began, at = 0.0, time.perf_counter(), 0
    while at < len(findings):
        due = min(int((time.perf_counter() - began) * RATE), len(findings))
        if due > at:
            store.add(findings[at:due][:MOST], str(due))
            at = min(due, at + MOST)
            late = max(late, time.perf_counter() - began - at / RATE)
        else:
            time.sleep(0.01)
    stop.set()
    reader.join()
    taken = store.counts().taken - before
    return {"offered": len(findings), "taken": taken, "latest_s": round(late, 2), "slowest_page_ms": slowest[0]}


def figures(folder: Path, count: int) -> dict[str, Any]:
    """Everything."""
    big = Store(folder / "big.db")
    findings = list(life(count))
    seconds = fill(big, findings)
    result: dict[str, Any] = {
        "findings": count,
        "rate": round(count / seconds),
        "bytes_each": round(big.size / count),
        "finding_bytes": round(sum(map(len, findings)) / count),
        "cases": big.cases(limit=1).total,
        "pages_ms": pages(big),
    }
    began = time.perf_counter()
    Store(big.path, check=True).close_store()
    result["open_and_check_s"] = round(time.perf_counter() - began, 2)
    more = [
        finding(KINDS[0], f"ip:{number:08x}", BEGIN + timedelta(seconds=number / RATE), number)
        for number in range(RATE * SECONDS)
    ]
    result["steady"] = steady(big, more)
    big.close_store()
    worm = Store(folder / "worm.db")
    alerts = list(storm())
    seconds = fill(worm, alerts)
    left = worm.cases(Filter(state="active"), limit=1).total
    result["storm"] = {"findings": STORM, "cases": worm.cases(limit=1).total, "open": left, "rate": round(STORM / seconds)}
    worm.close_store()
    return result


def main(words: list[str] | None = None) -> int:
    """Measure, and print JSON; exit code 1 where a finding was lost."""
    quick = "--quick" in (sys.argv[1:] if words is None else words)
    with TemporaryDirectory(prefix="nigrani-cases-") as folder:
        result = figures(Path(folder), QUICK if quick else FULL)
    result["exact"] = result["steady"]["taken"] == result["steady"]["offered"]
    print(json.dumps(result, indent=2))
    return 0 if result["exact"] else 1


if __name__ == "__main__":
    sys.exit(main())
