"""The agent's plain counters as metrics, and what each of them means."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from agent import meter
from nigrani.service.exposition import Family

TEXTS = {
    "packets": "Packets metered.",
    "flows": "Flows begun.",
    "active_flows": "Flows in the table.",
    "evicted_flows": "Flows put out of a full table before their end; what comes later of them begins anew.",
    "short_packets": "Packets that were cut off or malformed.",
    "other_packets": "Packets of no protocol that is metered.",
    "orphan_fragments": "Later fragments of IP packets, which tell no ports.",
    "deep_packets": "Packets in more tunnels than are looked through.",
    "abandoned_conversations": "Conversations whose parser gave up: not what they seemed, or too much out of order.",
    "unparsed_conversations": "Conversations that found no room for a parser; their flows are metered.",
    "facts_over_cap": "Protocol facts beyond what one conversation may tell in a minute.",
    "clock_steps": "How often the host's clock was set.",
    "untold_records": "Flow records and facts for which no event was made, for want of room.",
    "events": "Events made.",
    "lost_events": "Events that the bus had no room for.",
    "kernel_packets": "Packets that the kernel had for the agent.",
    "kernel_dropped_packets": "Packets that the kernel dropped because the ring was full.",
    "ring_freezes": "How often a ring was full.",
    "ring_fill_percent": "How full the fullest ring was, at most, in the last second.",
    "shed_one_in": "Of the segments amid long flows one in so many is read, to keep up; 1: all.",
    "shed_changes": "How often shedding was tightened or loosened.",
    "interfaces_up": "Interfaces watched that are up.",
    "interface_losses": "How often an interface went down or away.",
    "map_entries": "Tokens sealed into the map.",
    "map_dropped": "Tokens not sealed, for want of room or ration.",
    "map_evicted": "Tokens gone with the oldest file of the map.",
    "map_bytes": "Size of the sealed map.",
    "reveal_audit_bytes": "Size of the record of who had tokens revealed.",
}
LOG_TEXTS = {
    "lines": "Lines read.",
    "facts": "Lines that became events.",
    "quiet_lines": "Lines that are of the format and tell nothing of use.",
    "unreadable_lines": "Lines that are not of the format.",
    "bytes": "Bytes read.",
    "rotations": "How often the file was rotated.",
    "truncations": "How often the file was cut.",
    "lost_ends": "Rotated files whose end could not be read.",
    "lost_bytes": "Bytes cut off before they were read.",
    "long_lines": "Lines that are too long, and were skipped.",
    "unreadable_files": "Files that could not be opened or read.",
    "absent": "1 while the file is not there.",
    "messages": "Messages received.",
    "connections": "Connections taken.",
    "open": "Connections that are open.",
    "refused": "Connections refused at the bound.",
    "failed_handshakes": "Connections that failed in TLS.",
    "stalled": "Connections ended for their silence within a message.",
    "unframed": "Connections ended because they have no frames.",
    "headless": "Messages without a syslog header.",
    "entries": "Entries of the journal.",
    "restarts": "How often journalctl was started anew.",
    "lost_cursors": "Places in the journal that were no more.",
    "broken_entries": "Entries of the journal that could not be read.",
    "looks": "Looks through the folder.",
    "files": "Files watched.",
    "hashed_bytes": "Bytes read to know a file's hash.",
    "unsettled": "Files that changed while they were read; the next look has them.",
    "unreadable_folders": "Folders that could not be listed.",
    "beyond_bound": "Files beyond the bound, not watched.",
}
GAUGES = frozenset({"active_flows", "interfaces_up", "map_bytes", "reveal_audit_bytes", "ring_fill_percent", "shed_one_in"})


class Counting(Protocol):
    """What has the agent's counters."""

    def counters(self) -> dict[str, int]:
        """All of them."""

    def log_counters(self) -> dict[str, dict[str, int]]:
        """Source of log lines → counter → count."""


class AgentMetrics:
    """Read when Prometheus asks; counters are since the agent's start."""

    def __init__(self, service: Counting) -> None:
        self._service = service

    def collect(self) -> Iterator[Family]:
        """One family each."""
        for name, value in self._service.counters().items():
            yield Family("gauge" if name in GAUGES else "counter", f"nigrani_agent_{name}", TEXTS[name], value)
        text = "1 where the meter is compiled; interpreted it takes fifteen times as long."
        yield Family("gauge", "nigrani_agent_meter_compiled", text, float(not str(meter.__file__).endswith(".py")))
        yield from self._logs()

    def _logs(self) -> Iterator[Family]:
        """One family for each counter of any source; sources have the names that the configuration gives them."""
        sources = self._service.log_counters()
        if not sources:
            return
        from agent.sources.log_sources import GAUGES as LOG_GAUGES  # noqa: PLC0415 - loaded only where logs are read

        for name in sorted({name for counters in sources.values() for name in counters}):
            family = Family("gauge" if name in LOG_GAUGES else "counter", f"nigrani_agent_log_{name}", LOG_TEXTS[name])
            for source, counters in sources.items():
                if name in counters:
                    family.add(counters[name], source=source)
            yield family
