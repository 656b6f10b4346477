"""`agent.status`: the agent's heartbeat and its own counters, so that a silenced agent is seen."""

from __future__ import annotations

from msgspec import field

from nigrani.stream.event import Count, Event, Word


class AgentStatus(Event, kw_only=True, tag="agent.status"):
    """What the agent has seen, kept and dropped: sums since its start, and plain numbers of the time since the last one."""

    version: Word = field(name="agent.version", default="")
    packets: Count = field(name="nigrani.agent.packets", default=0)
    events: Count = field(name="nigrani.agent.events", default=0)
    skipped: dict[str, Count] = field(name="nigrani.agent.skipped", default_factory=dict)
    """Counter of each reason for which something was not read or not kept, since the start."""
    uptime: Count = field(name="nigrani.agent.uptime", default=0)
    """Seconds since the agent's start."""
    dropped: Count = field(name="nigrani.agent.dropped", default=0)
    """Packets that the kernel dropped since the heartbeat before, …"""
    dropped_percent: Count = field(name="nigrani.agent.dropped_percent", default=0)
    """… of every hundred that came, whole ones."""
    shed_one_in: Count | None = field(name="nigrani.agent.shed_one_in", default=None)
    """One in so many of the TCP segments amid long flows is read, to keep up; 1: all. None where no interface is watched."""
    lost_events: Count = field(name="nigrani.agent.lost_events", default=0)
    """Events that the bus had no room for, since the heartbeat before."""
    clock_steps: Count = field(name="nigrani.agent.clock_steps", default=0)
    """How often the host's clock was set, since the heartbeat before."""
    reloads: Count = field(name="nigrani.agent.reloads", default=0)
    """Configurations read anew since the heartbeat before that were not the one in effect: applied or refused."""
    interfaces_up: Count | None = field(name="nigrani.agent.interfaces_up", default=None)
    """Interfaces watched that are up. None where the agent reads logs alone."""
    interfaces_down: Count = field(name="nigrani.agent.interfaces_down", default=0)
    """Interfaces named in the configuration that are not."""
    configuration: Word = field(name="nigrani.agent.configuration", default="")
    """Fingerprint of the configuration in effect, keyed by the site: another one is another configuration."""
