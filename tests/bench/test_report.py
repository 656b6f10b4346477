"""The tables."""

from __future__ import annotations

import json
from typing import Any

from bench import detection, network, report, run
from bench.measure import Row


def row(name: str, *cpu: float, work: int = 1_000_000, **counts: int) -> Row:
    return Row(name, work, list(cpu), list(cpu), peak=30 << 10, counts=counts, exact=bool(counts) or None)


def result() -> dict[str, Any]:
    names = (network.WHOLE, network.BARE, network.INTERPRETED)
    packets = [
        row(network.METER, 0.5, 0.4, 0.3, flows=20_000, compiled=1),
        *(row(name, 0.8, flows=20_000) for name in names),
    ]
    packets.append(Row("argus -r", missing="not installed: apt-get install argus-server"))
    rates = {"1": 200, "512": 90_000}
    return {
        "machine": {
            "cpu": "C",
            "cores": 2,
            "core": 1,
            "memory_gb": 8,
            "kernel": "6",
            "python": "3.11",
            "load": 0,
            "load_after": 1,
        },
        "repeat": 3,
        "capture": {"packets": 1_000_000, "flows": 20_000},
        "network": packets,
        "lesson": {"events": 60_000, "train_cpu_s": 3.0},
        "detection": [row(detection.WHOLE, 30.0, alerts=4), row(detection.RULES, 15.0, alerts=0)],
        "models": {"rates": {"PyOD IForest": rates}, "largest_difference": 2e-16},
        "spool": {"published_per_cpu_s": 1_400_000, "read_per_cpu_s": 1_300_000},
    }


def test_text_has_every_row_and_says_what_was_missed() -> None:
    one = result()
    text = run._as_text(one, run._targets(one["network"], one["detection"]))
    assert (
        f"{network.METER}           1,000,000  0.40 (0.30–0.50)      2,500,000           1 ×       30  20,000    yes" in text
    )
    assert "argus -r: not installed: apt-get install argus-server" in text
    assert "5,000 µs" in text
    assert "1,400,000 events published" in text
    assert "met     meter with all protocol facts: 2,500,000 packets/CPU-s (at least 2,500,000)" in text
    assert "MISSED  detector, rules and baseline: 33,333 events/CPU-s (at least 50,000)" in text


def test_json_holds_the_same() -> None:
    one = result()
    told = json.loads(run._as_json(one, run._targets(one["network"], one["detection"])))
    assert told["network"][0]["rate"] == 2_500_000
    assert [target["met"] for target in told["targets"]] == [True, True, True, False]


def test_columns_are_aligned() -> None:
    assert (
        report.table(("", "n"), [("long name", "1"), ("x", "1,000")])
        == "               n\nlong name      1\nx          1,000"
    )


def test_what_is_missing_is_said() -> None:
    assert report.models({"missing": "No module named 'pyod'"}) == "models: No module named 'pyod'"
    assert report.spool({"missing": "no room"}) == "spool: no room"
