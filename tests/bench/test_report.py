"""The tables."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest

from bench import detection, network, report, run
from bench.live.table import OURS, RATE
from bench.live.table import Row as Live
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
        "rules": {
            "events": 1000,
            "decoded_per_cpu_s": 400_000,
            "sets": [
                {
                    "rules": 100,
                    "load_cpu_s": 0.1,
                    "nigrani": 400_000,
                    "interpreter": 13_000,
                    "exact": True,
                    "hits": 3,
                    "peer": {"rules": 90, "hits": 3, "per_cpu_s": 9_874},
                },
                {
                    "rules": 500,
                    "load_cpu_s": 0.4,
                    "nigrani": 40_000,
                    "interpreter": 2_000,
                    "exact": True,
                    "hits": 9,
                    "peer": {"missing": "not installed"},
                },
            ],
            "reload": {
                "rules": 500,
                "seconds": 0.9,
                "swap_ms": 0.1,
                "longest_wait_ms": 41.0,
                "longest_wait_before_ms": 9.0,
            },
        },
        "spool": {"published_per_cpu_s": 1_400_000, "read_per_cpu_s": 1_300_000},
        "live": {"missing": "bench.live: live capture is measured in network namespaces: run it as root", "failed": False},
        "transport": {"missing": "no Kafka can be run here: there is no java here", "failed": False},
        "cases": {
            "findings": 100_000,
            "rate": 4500,
            "bytes_each": 2245,
            "open_and_check_s": 0.3,
            "pages_ms": {"findings: first page": 3.2, "findings: state": 240.0},
            "steady": {"offered": 10_000, "taken": 10_000, "latest_s": 0.05, "slowest_page_ms": 70.0},
            "storm": {"findings": 50_000, "cases": 7, "open": 1, "rate": 10_000},
            "exact": True,
        },
    }


def targets(one: dict[str, Any]) -> list[report.Target]:
    return run._targets(one["network"], one["detection"], one["live"], one["transport"])


def transport(**changes: Any) -> dict[str, Any]:
    figures = {
        "row": asdict(row("nigrani agent forward", 2.0, work=80_000, bytes=8_000_000)),
        "start": asdict(row("nigrani agent forward", 0.4, work=500)),
        "steady": 49_688.0,
    }
    absent = {**figures, "row": asdict(Row("confluent-kafka, a bare loop", missing="not installed"))}
    times = {"p50": 60.4, "p99": 120.6, "longest": 130.0, "exact": True}
    share = {"detectors": 2, "wire": "event", "events": 80_000, "wall": 2.0, "cpu": 1.6, "start": 0.6}
    road = {"wire": "event", "client": "kafka-python", "rate": 1000.0, "events": 8000, "bytes": 75.6, "core": 0.086}
    return {
        "kafka": "Apache Kafka 4.3.1",
        "partitions": 4,
        "events": 80_000,
        "event_bytes": 700,
        "produced": [figures, figures, absent],
        "consumed": [figures],
        "detectors": [{**share, "megabytes": 90.0, "alerts": 34, "exact": True}],
        "road": [{**road, **times, "megabytes": 43.0}],
        "alarm": {"runs": [{"load": 1000.0, "alerts": 100, **times, "agent_megabytes": 60.0}]},
        **changes,
    }


def test_text_has_every_row_and_says_what_was_missed() -> None:
    one = result()
    text = run._as_text(one, targets(one))
    assert (
        f"{network.METER}           1,000,000  0.40 (0.30–0.50)      2,500,000           1 ×       30  20,000    yes" in text
    )
    assert "argus -r: not installed: apt-get install argus-server" in text
    assert "5,000 µs" in text
    assert "\nbench.live: live capture is measured in network namespaces: run it as root\n" in text
    assert "1,400,000 events published" in text
    assert "met     meter with all protocol facts: 2,500,000 packets/CPU-s (at least 2,500,000)" in text
    assert "MISSED  detector, rules and baseline: 33,333 events/CPU-s (at least 50,000)" in text


def test_live_capture_is_a_table_with_targets() -> None:
    row = Live(OURS, RATE, sent=100_000, seconds=2.0, cpu=0.05, megabytes=40.0, packets=100_000)
    one = result() | {"live": {"rows": [row.told()]}}
    text = run._as_text(one, targets(one))
    assert "50,000 packets/s, 50 packets a flow" in text
    assert "met     live, 50,000 packets/s, 50 packets a flow: 2.5 % of a core (at most 3.0)" in text
    assert "MISSED  the same: 40.0 MB (at most 32.0)" in text


def test_json_holds_the_same() -> None:
    one = result()
    told = json.loads(run._as_json(one, targets(one)))
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


def test_transport_that_was_not_measured_is_said_and_has_no_targets() -> None:
    one = result()
    text = run._as_text(one, targets(one))
    assert "Transport: not run: no Kafka can be run here: there is no java here" in text
    assert "packet to alert" not in text
    assert report.transport_exact(one["transport"])
    assert not report.transport_exact({"missing": "TimeoutError: a partition each", "failed": True})


def test_transport() -> None:
    text = report.transport(transport())
    assert "nigrani agent forward  80,000   2.00      0.40        40,000            49,688           1 ×" in text
    assert "confluent-kafka, a bare loop: not installed" in text
    assert "2 detectors, wire event  80,000   1.60        50,000     2.0    40,000" in text
    assert "wire event, client kafka-python     1,000   8,000   60  121      130" in text
    assert "beside another agent's 1,000 events/s     100   60  121      130        60    yes" in text
    assert "not run: network namespaces need root" in report.transport(
        transport(alarm={"missing": "network namespaces need root"})
    )


def test_transport_holds_itself_to_targets() -> None:
    assert [(target.measured, target.met) for target in report.transport_targets(transport())] == [
        (49_688.0, True),
        (49_688.0, False),
        (120.6, True),
    ]
    assert len(report.transport_targets(transport(alarm={"missing": "no root"}))) == 2


@pytest.mark.parametrize("part", ["produced", "detectors", "road", "alarm"])
def test_what_the_transport_lost_is_not_exact(part: str) -> None:
    figures = transport()
    assert report.transport_exact(figures)
    where = figures[part]["runs"] if part == "alarm" else figures[part]
    where[0] = {**where[0], "exact": False}
    if part == "produced":
        where[0]["row"] = {**where[0]["row"], "exact": False}
    assert not report.transport_exact(figures)


def test_rules_stand_beside_the_plain_interpreter_and_the_engine() -> None:
    text = report.rules(result()["rules"])
    assert "31 ×" in text
    assert "200,000" in text  # with decoding
    assert "9,874 (90 rules)" in text
    assert "not installed" in text
    assert "0.9 s" in text


def test_what_nigrani_holds_itself_to_on_rules() -> None:
    verdicts = [target.met for target in report.rules_targets(result()["rules"])]
    assert verdicts == [True, False, True, True]


def test_the_slowest_page_is_held_against_its_target() -> None:
    figures = result()["cases"]
    assert [target.met for target in report.cases_targets(figures)] == [False, True, True]
    assert "a storm of 50,000 findings: 7 cases, 1 of them open" in report.cases(figures)
    assert report.cases({"missing": "no room"}) == "cases: no room"
    assert report.cases_targets({"missing": "no room"}) == []
