"""Rules: events a CPU second at 100 and 500 rules, beside a plain interpreter of the same, and what a reload costs.

`python -m bench.rules EVENTS [PEERS_PYTHON]`; figures as JSON. The rules are made here: six services, two to three fields
each with Sigma's usual modifiers, and a filter. Time is that of judging decoded events; decoding is told apart.
"""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

from bench.measure import ROOT

SIZES = (100, 500)
SAMPLE = 4000
"""Events for what is slow."""
LEAST = 0.5
"""Seconds that a rate is measured over."""

FIELDS: dict[str, list[tuple[str, list[Any]]]] = {
    "flow": [
        ("network.protocol", ["http", "tls", "dicom", "smb2", "ssh", "rdp"]),
        ("nigrani.flow.state", ["S0", "SF", "REJ", "RSTO"]),
        ("nigrani.source.zone", ["clinical", "imaging", "guest", "internet"]),
        ("destination.port|gt", [1024, 8000]),
        ("source.bytes|gt", [10**6, 10**8]),
        ("destination.port", [22, 23, 445, 3389, 104, 11112]),
    ],
    "dns": [
        ("dns.question.name|endswith", [".top", ".xyz", ".ru", ".onion"]),
        ("dns.question.type", ["TXT", "NULL", "A"]),
        ("nigrani.dns.entropy|gt", [3500, 4000]),
        ("dns.question.name|contains", ["pool", "miner", "tor", "dyn"]),
        ("dns.question.name|re", ["^[a-f0-9]{20,}[.]", "x{3,}"]),
    ],
    "dicom": [
        ("event.action", ["c-find", "c-move", "c-get", "c-store", "associate", "reject"]),
        ("dicom.calling_ae|startswith", ["CT", "MR", "WS", "TEST"]),
        ("dicom.status", ["A700", "A900", "0000"]),
        ("nigrani.destination.zone", ["internet", "guest"]),
        ("dicom.sop_class|startswith", ["1.2.840.10008.5.1.4.1.2", "1.2.3"]),
    ],
    "session": [
        ("network.protocol", ["http", "smb2", "kerberos", "tls", "ssh"]),
        ("event.action", ["GET", "PUT", "rename", "write", "AS-REQ"]),
        ("nigrani.session.status|startswith", ["4", "5", "C0"]),
        ("user_agent.name|contains", ["curl", "python", "sqlmap", "nikto"]),
    ],
    "hl7": [
        ("hl7.message.code", ["ADT", "ORU", "QRY"]),
        ("hl7.ack", ["AE", "AR"]),
        ("nigrani.destination.zone", ["internet"]),
    ],
    "fhir": [
        ("fhir.interaction", ["read", "search", "operation"]),
        ("fhir.operation", ["$export", "$everything"]),
        ("http.response.status_code|gte", [400, 500]),
        ("user_agent.name|contains", ["curl", "python"]),
    ],
}


def make(folder: Path, count: int, seed: int = 1) -> None:
    """Write so many rules, a file each; the same seed makes the same."""
    chance = random.Random(seed)
    folder.mkdir()
    services = list(FIELDS)
    for number in range(count):
        service = services[number % len(services)]
        chosen = chance.sample(FIELDS[service], k=min(len(FIELDS[service]), chance.choice([2, 2, 3])))
        rule = {
            "title": f"Rule {number}",
            "id": str(UUID(int=chance.getrandbits(128))),
            "level": "low",
            "logsource": {"product": "healthcare", "service": service},
            "detection": {
                "selection": {name: _values(chance, name, values) for name, values in chosen},
                "filter": {"nigrani.source.zone": f"trusted{number % 7}"},
                "condition": "selection and not filter",
            },
        }
        (folder / f"rule{number}.yml").write_text(json.dumps(rule), encoding="utf-8")  # JSON is YAML


def _values(chance: random.Random, name: str, values: list[Any]) -> Any:
    if name.endswith(("|gt", "|gte")):
        return chance.choice(values)
    return chance.sample(values, k=chance.randint(1, min(3, len(values))))


def figures(path: Path, peers: str = "") -> dict[str, Any]:
    """All of them."""
    from nigrani.stream.codec import decode  # noqa: PLC0415 - start-up is not measured

    lines = path.read_bytes().splitlines()
    started = time.process_time()
    events = [decode(line) for line in lines]
    decoding = time.process_time() - started
    result: dict[str, Any] = {"events": len(events), "decoded_per_cpu_s": round(len(events) / decoding), "sets": []}
    with TemporaryDirectory() as name:
        for count in SIZES:
            folder = Path(name) / str(count)
            make(folder, count)
            result["sets"].append(_set(folder, count, lines, events, peers))
        result["reload"] = reload(Path(name) / str(SIZES[-1]), events)
    return result


def _set(folder: Path, count: int, lines: list[bytes], events: list[Any], peers: str) -> dict[str, Any]:
    from detector.ruleset import RuleSet  # noqa: PLC0415 - as above

    started = time.process_time()
    rules = RuleSet.load(folder)
    loading = time.process_time() - started
    sample = [json.loads(line) for line in lines[:SAMPLE]]
    plain = interpreter(folder)
    hits = sum(len(rules.match(event)) for event in events[:SAMPLE])
    plain_hits = sum(map(plain, sample))
    return {
        "rules": count,
        "load_cpu_s": round(loading, 3),
        "nigrani": round(_rate(rules.match, events)),
        "interpreter": round(_rate(plain, sample)),
        "exact": hits == plain_hits,
        "hits": hits,
        "peer": _peer(folder, lines[:SAMPLE], peers),
    }


def _rate(judge: Callable[[Any], object], events: Sequence[Any]) -> float:
    """Events a CPU second."""
    done = 0
    started = time.process_time()
    while (spent := time.process_time() - started) < LEAST:
        for event in events:
            judge(event)
        done += len(events)
    return done / spent


def interpreter(folder: Path) -> Callable[[dict[str, Any]], int]:
    """What pySigma parsed, walked for each event of the rule's service: the plain way; returns how many rules match."""
    from sigma.conditions import ConditionAND, ConditionNOT, ConditionOR  # noqa: PLC0415 - as above
    from sigma.rule import SigmaRule  # noqa: PLC0415 - as above
    from sigma.types import SigmaCompareExpression, SigmaNumber, SigmaRegularExpression  # noqa: PLC0415 - as above

    from detector.rule_field import SERVICES  # noqa: PLC0415 - as above

    by_dataset: dict[str, list[Any]] = {}
    for path in sorted(folder.glob("*.yml")):
        rule = SigmaRule.from_yaml(path.read_text(encoding="utf-8"))
        dataset = SERVICES[str(rule.logsource.service)]
        by_dataset.setdefault(dataset, []).append(rule.detection.parsed_condition[0].parsed)

    def compared(value: Any, there: Any) -> bool:
        if isinstance(value, SigmaCompareExpression):
            above = there is not None and there > value.number.number
            return above or (value.op.name == "GTE" and there == value.number.number)
        if isinstance(value, SigmaNumber):
            return bool((there or 0) == value.number)
        if isinstance(value, SigmaRegularExpression):
            return re.search(str(value.regexp), there or "") is not None
        return _like(str(value).lower(), (there or "").lower())

    def holds(node: Any, event: dict[str, Any]) -> bool:
        if isinstance(node, ConditionAND):
            return all(holds(part, event) for part in node.args)
        if isinstance(node, ConditionOR):
            return any(holds(part, event) for part in node.args)
        if isinstance(node, ConditionNOT):
            return not holds(node.args[0], event)
        return compared(node.value, event.get(node.field))

    return lambda event: sum(holds(node, event) for node in by_dataset.get(event["event.dataset"], ()))


def _like(pattern: str, text: str) -> bool:
    bare = pattern.strip("*")
    match pattern.startswith("*"), pattern.endswith("*"):
        case True, True:
            return bare in text
        case True, False:
            return text.endswith(bare)
        case False, True:
            return text.startswith(bare)
    return text == pattern


def _peer(folder: Path, lines: Sequence[bytes], python: str) -> dict[str, Any]:
    """The public engine's figure, of a process in its own environment; or why there is none."""
    if not python:
        return {"missing": "not installed"}
    sample = folder.parent / "sample.ndjson"
    sample.write_bytes(b"\n".join(lines))
    done = subprocess.run(
        [python, ROOT / "bench" / "peers.py", "sigma-rule-matcher", sample, folder],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    if done.returncode:
        return {"missing": (done.stderr.strip() or "no message").splitlines()[-1]}
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def reload(folder: Path, events: Sequence[Any]) -> dict[str, Any]:
    """A reload while events are judged: how long it takes, and the longest wait from one event to the next, in ms."""
    from detector.rule_watch import RuleWatch  # noqa: PLC0415 - as above
    from detector.ruleset import RuleSet  # noqa: PLC0415 - as above

    rules = RuleSet.load(folder)
    quiet = _longest(rules, events, time.monotonic() + 2.0, lambda: False)
    watch = RuleWatch([folder], rules, 0)
    watch.start()
    watch.ask()
    outcome = None

    def over() -> bool:
        nonlocal outcome
        outcome = outcome or watch.taken()
        return outcome is not None

    stall = _longest(rules, events, time.monotonic() + 60.0, over)
    watch.close()
    swap = time.perf_counter()
    if outcome is not None and outcome.rules is not None:
        twin = outcome.rules.empty()
        twin.adopt(rules)
    return {
        "rules": len(rules.rules),
        "seconds": round(outcome.seconds, 3) if outcome else None,
        "swap_ms": round(1000 * (time.perf_counter() - swap), 2),
        "longest_wait_ms": round(stall, 1),
        "longest_wait_before_ms": round(quiet, 1),
    }


def _longest(rules: Any, events: Sequence[Any], until: float, over: Callable[[], bool]) -> float:
    """The longest time from one event to the next, in ms, until it is over."""
    longest = 0.0
    last = time.perf_counter()
    for number, event in enumerate(_forever(events)):
        rules.match(event)
        now = time.perf_counter()
        longest = max(longest, now - last)
        last = now
        if not number & 255 and (time.monotonic() > until or over()):
            return 1000 * longest
    return 1000 * longest


def _forever(events: Sequence[Any]) -> Iterator[Any]:
    while True:
        yield from events


if __name__ == "__main__":
    print(json.dumps(figures(Path(sys.argv[1]), *sys.argv[2:])))
