"""How long to leave Kafka alone after trouble, and what to tell about it: once when it begins, changes or ends."""

from __future__ import annotations

import logging
import random
import time

from nigrani.stream.kafka.fault import Trouble

log = logging.getLogger(__name__)

BACKOFF = 0.5
"""Seconds before the first further attempt, doubled for each after it."""
BACKOFF_MAX = 4.0
"""What may mend itself any moment is used within seconds of it."""
BACKOFF_MAX_PERSON = 30.0
"""What waits for a person."""
NEEDS_PERSON = frozenset({"certificate", "authentication", "authorization", "topic", "refused"})


class Patience:
    """One way's trouble, from the first of it until all is well."""

    def __init__(self) -> None:
        self.trouble: Trouble | None = None
        """What is wrong now."""
        self._attempts = 0
        self._since = 0.0
        self._until = 0.0

    @property
    def wait(self) -> float:
        """Seconds to the next attempt; none left, or nothing wrong: 0."""
        return max(self._until - time.monotonic(), 0.0)

    def ready(self) -> bool:
        """Whether to try."""
        return self.wait == 0

    def stall(self, trouble: Trouble) -> None:
        """An attempt failed."""
        now = time.monotonic()
        if self.trouble is None:
            self._since = now
        if self.trouble is None or self.trouble.kind != trouble.kind:
            log.warning("events stay in the spool: %s", trouble)
            self._attempts = 0
        self.trouble = trouble
        longest = BACKOFF_MAX_PERSON if trouble.kind in NEEDS_PERSON else BACKOFF_MAX
        pause = min(BACKOFF * 2 ** min(self._attempts, 16), longest)
        if trouble.kind == "refused" and self._attempts == 0:
            pause = 0.0  # it is the record's fault
        self._attempts += 1
        # Agents that lost their brokers at one moment must not come back at one.
        self._until = now + pause * random.uniform(0.7, 1.0)  # noqa: S311 - no secret

    def over(self) -> None:
        """An event has arrived."""
        if self.trouble is not None:
            log.warning("Kafka takes events again, after %.0f s", time.monotonic() - self._since)
        self.trouble = None
        self._attempts, self._until = 0, 0.0
