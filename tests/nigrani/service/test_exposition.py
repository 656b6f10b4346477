from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from nigrani.service.exposition import Family, Registry, exposition


class Fixed:
    """What was put into it."""

    def __init__(self, *families: Family) -> None:
        self._families = families

    def collect(self) -> tuple[Family, ...]:
        return self._families


def test_what_prometheus_clients_metrics_look_like_here_and_there() -> None:
    registry = CollectorRegistry()
    Counter("nigrani_events", 'Of all "kinds",\nback\\slashed.', ["kind"], registry=registry).labels('a"\\\nb').inc(3)
    Gauge("nigrani_share", "A share.", registry=registry).set(0.5)
    Histogram("nigrani_seconds", "How long.", buckets=(0.1, 1), registry=registry).observe(0.3)
    theirs = [line for line in generate_latest(registry).decode().splitlines() if "_created" not in line]
    assert exposition(registry).decode().splitlines() == theirs


def test_our_own_families() -> None:
    events = Family("counter", "nigrani_events", "Events.")
    events.add(3, kind="dicom", zone="mri")
    events.add(4, kind="hl7", zone="ward")
    assert exposition(Fixed(events, Family("gauge", "nigrani_lag", "Behind.", 0.25))).decode() == (
        "# HELP nigrani_events_total Events.\n"
        "# TYPE nigrani_events_total counter\n"
        'nigrani_events_total{kind="dicom",zone="mri"} 3\n'
        'nigrani_events_total{kind="hl7",zone="ward"} 4\n'
        "# HELP nigrani_lag Behind.\n"
        "# TYPE nigrani_lag gauge\n"
        "nigrani_lag 0.25\n"
    )


def test_a_registry_is_its_collectors_one_after_the_other() -> None:
    registry = Registry()
    for name in ("b", "a"):
        registry.register(Fixed(Family("gauge", name, "x", 1)))
    assert [family.name for family in registry.collect()] == ["b", "a"]


@given(st.text(), st.text(), st.floats())
def test_any_text_and_value_come_through(documentation: str, label: str, value: float) -> None:
    family = Family("gauge", "nigrani_test", documentation)
    family.add(value, label=label)
    text = exposition(Fixed(family)).decode(errors="strict") if _encodes(documentation + label) else ""
    for found in text_string_to_metric_families(text) if "\r" not in documentation + label else ():
        (sample,) = found.samples
        assert sample.labels == {"label": label}
        assert sample.value == value or (math.isnan(sample.value) and math.isnan(value))


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
