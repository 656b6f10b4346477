"""How a running agent is, from two looks at its metrics: what it does, what it lost, and whether that is well."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple

from agent.reading import Reading

DROPPED = 0.001
"""Share of packets that may have been dropped since the start, before it is a fault that lasts."""
STALE = 120.0
"""Seconds after which an event that waits for Kafka is late."""


class Rates(NamedTuple):
    """What happened between two looks, a second."""

    before: Reading
    now: Reading

    def of(self, name: str, **labels: str) -> float:
        """Of a counter; a restart in between counts from 0."""
        was, is_ = self.before.number(name, **labels), self.now.number(name, **labels)
        return (is_ - was if is_ >= was else is_) / max(self.now.at - self.before.at, 0.001)


def reasons(rates: Rates) -> Iterator[str]:
    """Why the agent is not well; nothing where it is."""
    now = rates.now
    configured, up = now.number("interfaces_configured"), now.number("interfaces_up")
    if up < configured:
        yield f"{configured - up:.0f} of {configured:.0f} interfaces down or gone"
    packets, dropped = now.number("kernel_packets_total"), now.number("kernel_dropped_packets_total")
    if rates.of("kernel_dropped_packets_total"):
        yield f"the kernel drops packets, {rates.of('kernel_dropped_packets_total'):,.0f} a second"
    elif dropped > DROPPED * packets:
        yield f"the kernel dropped {dropped:,.0f} of {packets:,.0f} packets since the start"
    for name, words in (("lost_events_total", "lost: no room on the bus"), ("spool_missed_events_total", "dropped unsent")):
        if lost := now.number(name):
            yield f"{lost:,.0f} events {words}"
    if trouble := now.word("forward_trouble", "kind"):
        yield f"Kafka: {trouble}; events stay in the spool"
    elif now.number("forward_oldest_unsent_seconds") > STALE and not rates.of("forward_acknowledged_events_total"):
        yield f"Kafka acknowledges nothing; the oldest unsent event is of {_span(_oldest(now))} ago"
    if now.value("config_last_reload_successful") == 0:
        yield "the configuration that was read last is not in effect"


def facts(rates: Rates) -> Iterator[tuple[str, str]]:
    """What there is to say, as a name and a text."""
    now = rates.now
    started = now.value("start_time_seconds")
    if started is not None:
        yield "running", f"for {_span(time.time() - started)}, version {now.word('info', 'version') or 'unknown'}"
    if now.number("interfaces_configured"):
        yield from _capture(rates)
    yield "events", f"{rates.of('events_total'):,.1f}/s, {now.number('events_total'):,.0f} in all{_lost(now)}"
    yield from _spool(now)
    for name, counters in sorted(now.sources().items()):
        yield f"log {name}", ", ".join(_source(counters))
    offset = now.value("clock_offset_seconds")
    if offset is not None:
        yield "clock", f"{-offset:+.3f} s off the time server's"
    if (loaded := now.value("config_loaded_timestamp_seconds")) is not None:
        result = "" if now.value("config_last_reload_successful") else "; what was read since is refused or not applied"
        yield "config", f"read {_span(time.time() - loaded)} ago{result}"


def _capture(rates: Rates) -> Iterator[tuple[str, str]]:
    now = rates.now
    shed = now.number("shed_one_in")
    yield "interfaces", f"{now.number('interfaces_up'):.0f} of {now.number('interfaces_configured'):.0f} up"
    yield "packets", f"{rates.of('packets_total'):,.0f}/s, {now.number('packets_total'):,.0f} in all"
    dropped = f"{now.number('kernel_dropped_packets_total'):,.0f} dropped by the kernel"
    shedding = f"one in {shed:.0f} of the segments of long flows read" if shed > 1 else "nothing shed"
    yield "ring", f"{now.number('ring_fill_percent'):.0f} % full at most; {dropped}; {shedding}"
    yield "flows", f"{now.number('active_flows'):,.0f} open, {now.number('evicted_flows_total'):,.0f} put out for room"


def _lost(now: Reading) -> str:
    lost = now.number("lost_events_total")
    return f", {lost:,.0f} lost" if lost else ", none lost"


def _spool(now: Reading) -> Iterator[tuple[str, str]]:
    size = f"{now.number('spool_bytes') / (1 << 20):,.1f} MiB"
    state = now.word("forward_state", "state")
    if not state:
        yield "spool", f"{size}; no Kafka: events stay there"
        return
    oldest = f", the oldest of {_span(_oldest(now))} ago" if _oldest(now) >= 1 else ""
    waiting = f"{now.number('spool_events'):,.0f} events to send{oldest}"
    yield "spool", f"{size}; {waiting}"
    trouble = now.word("forward_trouble", "kind")
    refused = sum(now.labelled("forward_refused_events_total", "kind").values())
    more = (f" ({trouble})" if trouble else "") + (f", {refused:,.0f} refused for good" if refused else "")
    yield "kafka", f"{state}{more}; {now.number('forward_acknowledged_events_total'):,.0f} events acknowledged"


def _oldest(now: Reading) -> float:
    """Seconds since what the oldest unsent event tells of, which a log may tell late."""
    return now.number("forward_oldest_unsent_seconds")


def _source(counters: dict[str, float]) -> Iterator[str]:
    """What a source tells of itself that is not 0, and its lines anyway."""
    if "lines" in counters:
        yield f"{counters['lines']:,.0f} lines, {counters.get('facts', 0):,.0f} facts"
    if "files" in counters:
        yield f"{counters['files']:,.0f} files"
    if counters.get("absent"):
        yield "the file is not there"
    for name in ("unreadable_lines", "unreadable_files", "unreadable_folders", "long_lines", "lost_ends", "restarts"):
        if counters.get(name):
            yield f"{counters[name]:,.0f} {name.replace('_', ' ')}"


def _span(seconds: float) -> str:
    seconds = max(seconds, 0)
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            whole, rest = divmod(int(seconds), size)
            smaller = {"d": (3600, "h"), "h": (60, "min"), "min": (1, "s")}[unit]
            return f"{whole} {unit}" + (f" {rest // smaller[0]} {smaller[1]}" if rest // smaller[0] else "")
    return f"{seconds:.0f} s"
