"""What is said of an agent, and when it is not well."""

from __future__ import annotations

import time

import pytest

from agent.reading import PREFIX, Labels, Reading
from agent.status import Rates, facts, reasons

WELL = {
    "interfaces_configured": 2,
    "interfaces_up": 2,
    "packets_total": 1000,
    "kernel_packets_total": 1000,
    "kernel_dropped_packets_total": 0,
    "lost_events_total": 0,
    "events_total": 50,
    "shed_one_in": 1,
    "config_last_reload_successful": 1,
}


def reading(at: float, counts: dict[str, float], labelled: dict[tuple[str, str, str], float] | None = None) -> Reading:
    samples: dict[tuple[str, Labels], float] = {(PREFIX + name, ()): value for name, value in counts.items()}
    for (name, label, word), value in (labelled or {}).items():
        samples[PREFIX + name, ((label, word),)] = value
    return Reading(at, samples)


def rates(changes: dict[str, float], labelled: dict[tuple[str, str, str], float] | None = None) -> Rates:
    return Rates(reading(0, WELL), reading(2, WELL | changes, labelled))


def test_a_well_agent() -> None:
    assert list(reasons(rates({"packets_total": 3000}))) == []
    told = dict(facts(rates({"packets_total": 3000, "start_time_seconds": time.time() - 3700})))
    assert told["running"].startswith("for 1 h 1 min")
    assert told["packets"] == "1,000/s, 3,000 in all"
    assert told["interfaces"] == "2 of 2 up"
    assert told["spool"].endswith("no Kafka: events stay there")
    assert "clock" not in told


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"interfaces_up": 1}, "1 of 2 interfaces down"),
        ({"kernel_dropped_packets_total": 10}, "drops packets, 5 a second"),
        ({"lost_events_total": 3}, "3 events lost"),
        ({"spool_missed_events_total": 4}, "4 events dropped unsent"),
        ({"forward_oldest_unsent_seconds": 500}, "Kafka acknowledges nothing"),
        ({"config_last_reload_successful": 0}, "not in effect"),
    ],
)
def test_what_is_not_well(changes: dict[str, float], words: str) -> None:
    (why,) = reasons(rates(changes))
    assert words in why


def test_drops_of_long_ago_count_where_they_were_many() -> None:
    for dropped, faulty in ((1, False), (900, True)):
        both = {"kernel_packets_total": 10_000.0, "kernel_dropped_packets_total": float(dropped)}
        then = Rates(reading(0, WELL | both), reading(2, WELL | both))
        assert bool(list(reasons(then))) == faulty


def test_an_old_event_that_is_being_sent_is_no_fault() -> None:
    """A log of last year that is read today."""
    sending = {"forward_oldest_unsent_seconds": 1e7, "forward_acknowledged_events_total": 9.0}
    assert list(reasons(rates(sending))) == []


def test_kafka_in_trouble() -> None:
    words = {("forward_trouble", "kind", "certificate"): 1.0, ("forward_state", "state", "stalled"): 1.0}
    stalled = rates({"spool_events": 7, "forward_oldest_unsent_seconds": 90}, words)
    assert list(reasons(stalled)) == ["Kafka: certificate; events stay in the spool"]
    told = dict(facts(stalled))
    assert told["spool"] == "0.0 MiB; 7 events to send, the oldest of 1 min 30 s ago"
    assert told["kafka"].startswith("stalled (certificate)")


def test_sources_tell_what_is_wrong_with_them() -> None:
    counters = {
        ("log_lines_total", "source", "gw"): 10.0,
        ("log_facts_total", "source", "gw"): 8.0,
        ("log_unreadable_lines_total", "source", "gw"): 2.0,
        ("log_absent", "source", "gw"): 1.0,
    }
    assert dict(facts(rates({}, counters)))["log gw"] == "10 lines, 8 facts, the file is not there, 2 unreadable lines"


def test_a_restart_between_two_looks_counts_from_nothing() -> None:
    assert Rates(reading(0, {"packets_total": 100}), reading(2, {"packets_total": 4})).of("packets_total") == 2
