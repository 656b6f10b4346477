"""What each of the agent's verbs sets up from its configuration."""

from __future__ import annotations

import socket
from pathlib import Path

from agent.config import AgentConfig
from agent.pipeline import Pipeline, Sink
from agent.privacy import Privacy, Tokens, Zones
from nigrani.service.errors import BadConfig, Fault
from nigrani.service.key import site_key, state_folder


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
