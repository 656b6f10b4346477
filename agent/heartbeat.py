"""What the agent tells of itself in each heartbeat: how it fared since the one before, and by what configuration it runs."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from agent.config import AgentConfig

SUMS = {"kernel_dropped_packets": "dropped", "lost_events": "lost_events", "clock_steps": "clock_steps"}
"""Counter since the start → field that has what was added to it."""


class Heartbeat:
    """The counters of the last heartbeat, to tell them from the next one's."""

    def __init__(self, key: bytes, config: AgentConfig) -> None:
        """key: the site's."""
        self._key = key
        self._began = time.monotonic()
        self._last: dict[str, int] = {}
        self._reloads = 0
        self.use(config)

    def use(self, config: AgentConfig) -> None:
        """Tell of this configuration from now on."""
        self.configuration = fingerprint(self._key, config)
        self._interfaces = len(dict.fromkeys(config.interfaces))

    def reloaded(self) -> None:
        """Count a configuration that was read anew, whatever came of it."""
        self._reloads += 1

    def numbers(self, counters: Mapping[str, int]) -> dict[str, int]:
        """The fields of `agent.status`, by their Python names; the next call tells of what comes from now on."""
        packets = self._added(counters, "kernel_packets")
        fields = {name: self._added(counters, counter) for counter, name in SUMS.items()}
        fields["dropped_percent"] = 100 * fields["dropped"] // packets if packets else 0
        fields["reloads"] = self._reloads
        fields["uptime"] = int(time.monotonic() - self._began)
        if "interfaces_up" in counters:
            fields["interfaces_up"] = counters["interfaces_up"]
            fields["interfaces_down"] = max(self._interfaces - counters["interfaces_up"], 0)
        if "shed_one_in" in counters:
            fields["shed_one_in"] = counters["shed_one_in"]
        self._last = dict(counters)
        self._reloads = 0
        return fields

    def _added(self, counters: Mapping[str, int], name: str) -> int:
        return max(counters.get(name, 0) - self._last.get(name, 0), 0)


def fingerprint(key: bytes, config: AgentConfig) -> str:
    """Sixteen hexadecimal digits that are others once a setting is; nobody without the key learns settings from them."""
    settings = msgspec.json.encode(config, enc_hook=str, order="deterministic")
    return hmac.digest(key, b"configuration\0" + settings, hashlib.sha256)[:8].hex()
