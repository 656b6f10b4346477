"""Whether a topic can be read, and if not why: what silence means.

A topic without news and a topic without brokers look the same to whoever polls. So after some silence the brokers are asked,
without waiting for the answer.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import CoordinatorNotAvailableError, KafkaTimeoutError, LeaderNotAvailableError
from kafka.structs import MemberState

from nigrani.stream.bus import BusError
from nigrani.stream.kafka.client import Dial

QUIET_SECONDS = 2.0
"""After so long without a record the brokers are asked whether they are there …"""
PATIENCE_SECONDS = 3.0
"""… and have so long to answer."""
LOOK_SECONDS = 10.0
"""Between two looks at what is wrong."""
JOIN_SECONDS = 30.0
"""So long a group may take to give us our part."""

log = logging.getLogger(__name__)


class Pulse:
    """Of one member of a group; tells on the log what begins and what ends, once."""

    def __init__(self, dial: Dial, topic: str) -> None:
        self.trouble = ""
        """One of `fault.KINDS`, or empty."""
        self._dial = dial
        self._topic = topic
        self._heard = 0.0
        self._joined = 0.0
        self._asked: Any = None
        self._asked_at = 0.0

    def begin(self) -> None:
        """A new client: it has time to find its way."""
        self._heard = self._joined = time.monotonic()
        self._asked = None

    def alive(self, *, whole: bool = True) -> None:
        """Records came, or an answer. whole: nothing that is ours waits for anything else."""
        self.begin()
        if self.trouble and whole:
            log.warning("Kafka topic %s is read again", self._topic)
            self.trouble = ""

    def troubled(self, error: BaseException) -> None:
        """Something is wrong."""
        found = self._dial.trouble(error, self._topic)
        if found.kind != self.trouble:
            told = error if isinstance(error, BusError) else found
            log.warning("Kafka topic %s is not read: %s", self._topic, told)
        self.trouble = found.kind

    def ask(self, client: KafkaConsumer, held: list[TopicPartition]) -> bool:
        """Nothing came: returns whether it is certain that nothing is there. Raises KafkaError for what is in the way."""
        now = time.monotonic()
        if self._asked is None:
            if now - self._heard >= QUIET_SECONDS:
                self._asked = client._cluster.request_update()  # noqa: SLF001 - no public call asks without waiting
                self._asked_at = now
        elif self._asked.is_done:
            asked, self._asked, self._heard = self._asked, None, now
            if asked.failed():
                raise asked.exception
            return self._reads(client, held)
        elif now - self._asked_at >= PATIENCE_SECONDS:
            self._asked_at = now + LOOK_SECONDS
            raise KafkaTimeoutError("no answer")
        return False

    def _reads(self, client: KafkaConsumer, held: list[TopicPartition]) -> bool:
        """The brokers are there; look whether the group and the leaders of our partitions are too."""
        cluster = client._cluster  # noqa: SLF001 - as in `ask`
        if any(cluster.leader_for_partition(place) in (None, -1) for place in held):
            raise LeaderNotAvailableError
        if client.group_metadata().state is MemberState.STABLE:
            return True
        if self._heard - self._joined >= JOIN_SECONDS:
            raise CoordinatorNotAvailableError
        return False
