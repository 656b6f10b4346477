"""A running agent's way to Kafka, and the one that follows when the settings change: the spool keeps what comes between."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from agent.config import AgentConfig
from agent.setup import check_client, make_forwarder
from nigrani.service.exposition import Family, FamilyLike

if TYPE_CHECKING:
    from agent.forwarder import Forwarder

log = logging.getLogger(__name__)


class Dispatch:
    """One forwarder at a time, or none: two readers of the same group would lose each other's place."""

    def __init__(self, config: AgentConfig, spool: Path) -> None:
        """spool: its folder. Raises Problem."""
        self._config = config
        self._spool = spool
        self._forwarder = _make(config, spool)
        self._successor: threading.Thread | None = None
        self._failed = False

    @property
    def runs(self) -> bool:
        """Whether events go to Kafka, or need not, or will once the forwarder before has ended."""
        if self._successor is not None and self._successor.is_alive():
            return True
        return not self._failed and (self._forwarder is None or self._forwarder.runs)

    def start(self) -> None:
        """Begin, in a thread of its own."""
        if self._forwarder is not None:
            self._forwarder.start()

    def change(self, config: AgentConfig) -> None:
        """Send otherwise from now on. Raises Problem, and goes on as before then.

        The forwarder ends in its own time, some seconds where brokers do not answer, and its successor goes on from the
        first event that was not acknowledged; the capture does not wait for either.
        """
        if config.kafka.servers:
            check_client(config.kafka)
        self._config = config
        self._successor = threading.Thread(
            target=self._succeed, args=(config, self._successor), name="successor", daemon=True
        )
        self._successor.start()

    def stop(self) -> None:
        """End within seconds; what is not acknowledged by then stays in the spool."""
        if self._successor is not None:
            self._successor.join()
        if self._forwarder is not None:
            self._forwarder.stop()

    def trouble(self) -> str:
        """What keeps events from Kafka, in a sentence; empty where nothing does."""
        trouble = self._forwarder.patience.trouble if self._forwarder is not None else None
        return f"events stay in the spool: {trouble.message}" if trouble is not None else ""

    def collect(self) -> Iterator[FamilyLike]:
        """The spool's metrics, and the forwarder's where there is one."""
        from agent.delivery import Delivery, room, spool_bytes  # noqa: PLC0415 - asked for by a scrape, not at the start

        yield from room(self._spool, self._config.bus.max_bytes)
        forwarder = self._forwarder
        if forwarder is not None:
            yield from Delivery(forwarder, self._spool).collect()
        else:
            yield Family("gauge", "nigrani_agent_spool_bytes", "What the spool takes on the disk.", spool_bytes(self._spool))

    def _succeed(self, config: AgentConfig, before: threading.Thread | None) -> None:
        try:
            if before is not None:
                before.join()
            if config is not self._config:
                return  # overtaken by a later change
            old = self._forwarder
            while old is not None and old.runs:
                old.stop()
            new = _make(config, self._spool)
            if old is not None and new is not None:
                new.counts, new.dead = old.counts, old.dead  # metrics go on
            self._forwarder = new
            if new is not None:
                new.start()
        except Exception:  # the thread's own boundary: `runs` tells, and the watchdog acts
            self._failed = True
            log.exception("the way to Kafka could not be changed; events stay in the spool")


def _make(config: AgentConfig, spool: Path) -> Forwarder | None:
    return make_forwarder(config, spool) if config.kafka.servers else None
