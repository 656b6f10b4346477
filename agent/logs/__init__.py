"""The log formats the agent knows, one module each."""

from __future__ import annotations

from agent.log import LogFormat
from agent.logs.gateway import Gateway

FORMATS: tuple[LogFormat, ...] = (Gateway(),)
