"""What each of the agent's verbs sets up from its configuration."""

from __future__ import annotations

import importlib.util
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from agent.config import AgentConfig
from agent.pipeline import Pipeline, Sink
from agent.privacy import Privacy, Tokens, Zones
from nigrani.service.errors import BadConfig, Fault, Problem
from nigrani.service.key import site_key, state_folder

if TYPE_CHECKING:
    from agent.forwarder import Forwarder
    from agent.sources.log_sources import LogSources


def make_privacy(config: AgentConfig, boot: str, path: Path | None = None) -> Privacy:
    """The way out, with the site's key and policy. Raises BadConfig or Problem."""
    key = site_key(config.privacy.key or state_folder() / "site.key").value
    name = config.name or Tokens(key).of("host", socket.gethostname().encode())
    try:
        return Privacy(
            key,
            agent=name,
            boot=boot,
            zones=Zones(config.privacy.zones),
            ae_titles=config.privacy.ae_titles,
            domain_policy=config.privacy.domains,
            host=config.host,
        )
    except ValueError as error:
        raise BadConfig([Fault(str(path or "configuration"), 0, f"privacy: {error}")]) from None


def make_pipeline(config: AgentConfig, privacy: Privacy, sink: Sink, path: Path | None = None) -> Pipeline:
    """The pipeline with the meter's bounds."""
    try:
        return Pipeline(privacy, sink, config.meter.capacity, config.meter.conversations)
    except ValueError as error:
        raise BadConfig([Fault(str(path or "configuration"), 0, f"meter: {error}")]) from None


def bus_folder(config: AgentConfig) -> Path:
    """Where the embedded bus is."""
    return config.bus.path or state_folder() / "bus"


def make_forwarder(config: AgentConfig, spool: Path, *, create: bool = True) -> Forwarder:
    """The way from a spool to Kafka. Raises Problem.

    create: make the spool where there is none yet.
    """
    from agent.deadletter import DeadLetters  # noqa: PLC0415 - only where brokers are configured
    from agent.forwarder import GROUP, Forwarder  # noqa: PLC0415 - as above
    from nigrani.stream.kafka.message import wire  # noqa: PLC0415 - as above
    from nigrani.stream.kafka.producer import Route  # noqa: PLC0415 - as above
    from nigrani.stream.layout import existing  # noqa: PLC0415 - as above
    from nigrani.stream.spool import SpoolReader  # noqa: PLC0415 - as above

    kafka = config.kafka
    needed = {"confluent": "confluent_kafka", "kafka-python": "kafka"}[kafka.client]
    if importlib.util.find_spec(needed) is None:
        raise Problem(f"kafka.client: {kafka.client} is not installed; pip install nigrani[confluent], or set kafka-python")
    if kafka.compression == "lz4" and kafka.client == "kafka-python" and importlib.util.find_spec("lz4") is None:
        raise Problem("kafka.compression: lz4 is not installed; pip install lz4, or set zstd")
    state = state_folder()
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        reader = SpoolReader(spool if create else existing(spool), GROUP)
    except (OSError, ValueError) as error:
        raise Problem(str(error)) from None
    route = Route(kafka, kafka.topic, kafka.compression, f"nigrani-agent-{config.name or socket.gethostname()}")
    return Forwarder(reader, route, wire(kafka.wire), DeadLetters(state))


def make_logs(config: AgentConfig) -> LogSources | None:
    """The sources of log lines; None where none is configured. Raises Problem."""
    logs = config.logs
    if not (logs.files or logs.journal or logs.syslog or logs.folders):
        return None
    from agent.sources.log_sources import LogSources  # noqa: PLC0415 - loaded only where logs are read

    return LogSources(logs, state_folder() / "sources")
