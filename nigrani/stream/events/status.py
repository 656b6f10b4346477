"""`agent.status`: the agent's heartbeat and its own counters, so that a silenced agent is seen."""

from __future__ import annotations

from msgspec import field

from nigrani.stream.event import Count, Event, Word


class AgentStatus(Event, kw_only=True, tag="agent.status"):
    """What the agent has seen, kept and dropped since its start."""

    version: Word = field(name="agent.version", default="")
    packets: Count = field(name="nigrani.agent.packets", default=0)
    events: Count = field(name="nigrani.agent.events", default=0)
    skipped: dict[str, Count] = field(name="nigrani.agent.skipped", default_factory=dict)
    """Counter of each reason for which something was not read or not kept."""
