"""What each of the agent's verbs sets up from its configuration."""

from __future__ import annotations

import importlib.util
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from agent.config import AgentConfig, Kafka
from agent.pipeline import Pipeline, Sink
from agent.privacy import Privacy, Tell, Tokens, Zones
from nigrani.service.errors import Problem
from nigrani.service.key import site_key, state_folder

if TYPE_CHECKING:
    from agent.forwarder import Forwarder
    from agent.sealer import Sealer
    from agent.sources.log_sources import LogSources
    from nigrani.stream.bus import Publisher


def make_privacy(config: AgentConfig, boot: str, key: bytes | None = None, tell: Tell | None = None) -> Privacy:
    """The way out, with the site's key and policy. Raises Problem.

    key: the site's, where it has been read already. tell: told of each token, see `agent.privacy.Tokens`.
    """
    key = key or site_key(config.privacy.key).value
    name = config.name or Tokens(key, tell).of("host", socket.gethostname().encode())
    return Privacy(
        key,
        agent=name,
        boot=boot,
        zones=Zones(config.privacy.zones),
        policy=config.privacy,
        host=config.host,
        tell=tell,
    )


def make_map(config: AgentConfig) -> Sealer | None:
    """Who keeps what tokens stand for; None where no key is configured to seal with. Raises Problem."""
    settings = config.privacy.map
    if not settings.key:
        return None
    from agent.sealer import Sealer  # noqa: PLC0415 - loaded only where a map is kept

    return Sealer(state_folder() / "tokens", bytes.fromhex(settings.key), settings.max_bytes)


def make_pipeline(config: AgentConfig, privacy: Privacy, sink: Sink) -> Pipeline:
    """The pipeline with the meter's bounds."""
    return Pipeline(privacy, sink, config.meter.capacity, config.meter.conversations)


def bus_folder(config: AgentConfig) -> Path:
    """Where the embedded bus is."""
    return config.bus.path or state_folder() / "bus"


def check_client(kafka: Kafka) -> None:
    """Raises Problem where what the settings ask for is not installed."""
    needed = {"confluent": "confluent_kafka", "kafka-python": "kafka"}[kafka.client]
    if importlib.util.find_spec(needed) is None:
        raise Problem(f"kafka.client: {kafka.client} is not installed; pip install nigrani[confluent], or set kafka-python")
    if kafka.compression == "lz4" and kafka.client == "kafka-python" and importlib.util.find_spec("lz4") is None:
        raise Problem("kafka.compression: lz4 is not installed; pip install lz4, or set zstd")


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
    check_client(kafka)
    state = state_folder()
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        reader = SpoolReader(spool if create else existing(spool), GROUP)
    except (OSError, ValueError) as error:
        raise Problem(str(error)) from None
    route = Route(kafka, kafka.topic, kafka.compression, f"nigrani-agent-{config.name or socket.gethostname()}")
    return Forwarder(reader, route, wire(kafka.wire), DeadLetters(state))


def make_logs(config: AgentConfig, bus: Publisher) -> LogSources | None:
    """The sources of log lines; None where none is configured. Raises Problem."""
    logs = config.logs
    if not (logs.files or logs.journal or logs.syslog or logs.folders):
        return None
    from agent.sources.log_sources import LogSources  # noqa: PLC0415 - loaded only where logs are read

    return LogSources(logs, state_folder() / "sources", bus)
