"""Alerts in a compacted Kafka topic, one message an alert's id."""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import Any

from detector.outbox import MAX_PENDING, MAX_TOLD
from nigrani.stream.kafka.log import TopicLog

SECONDS = 5.0
"""Within which brokers must have taken what was put."""
HEADERS = [("content-type", b"application/json")]

log = logging.getLogger(__name__)


class _Alert:
    """An alert on its way."""

    __slots__ = ("finding", "partition", "ticket", "uid")

    def __init__(self, partition: int, uid: str, finding: bytes) -> None:
        self.partition = partition
        self.uid = uid
        self.finding = finding
        self.ticket: Any = None
        """None where it must be sent yet."""

    @property
    def arrived(self) -> bool:
        return self.ticket is not None and self.ticket.is_done and self.ticket.exception is None


class TopicOutbox:
    """An alert goes to the partition that its events came from: there its next reader looks for it."""

    def __init__(self, topic: TopicLog) -> None:
        self.dropped = 0
        self._topic = topic
        self._held: deque[_Alert] = deque()
        self._lock = threading.Lock()
        self._ill = False

    def put(self, partition: int, uid: str, finding: bytes) -> None:
        """See `Outbox`; sent at once, and held until the brokers have it."""
        alert = _Alert(partition, uid, finding)
        with self._lock:
            self._held.append(alert)
            self._clear()
            if len(self._held) > MAX_PENDING:
                self._held.popleft()
                self.dropped += 1
            if self._ill:
                return
            try:
                self._send(alert)
            except OSError as error:
                self._failed(error)

    def flush(self) -> None:
        """See `Outbox`."""
        with self._lock:
            try:
                for alert in self._held:
                    if alert.ticket is None or alert.ticket.exception is not None:
                        self._send(alert)
                self._topic.flush(SECONDS)
            except OSError as error:
                for alert in self._held:  # what a client took with it must be sent again: an id twice is one alert
                    if not alert.arrived:
                        alert.ticket = None
                self._failed(error)
                raise
            self._held.clear()
            if self._ill:
                self._ill = False
                log.warning("alerts go to topic %s again", self._topic.topic)

    @property
    def pending(self) -> int:
        """See `Outbox`."""
        with self._lock:
            self._clear()
            return len(self._held)

    def position(self, partition: int) -> int:
        """See `Outbox`; an offset of the topic."""
        return self._topic.end(partition)

    def since(self, partition: int, position: int) -> set[str]:
        """See `Outbox`."""
        found = (entry.key.decode("utf-8", "replace") for entry in self._topic.read(partition, position) if entry.key)
        return set(deque(found, MAX_TOLD))

    def close(self) -> None:
        """See `Outbox`."""
        try:
            self.flush()
        except OSError as error:
            log.error("%d alerts are not in topic %s: %s", len(self._held), self._topic.topic, error)  # noqa: TRY400 - one line
        self._topic.close()

    def _send(self, alert: _Alert) -> None:
        alert.ticket = self._topic.append(alert.partition, alert.uid.encode(), alert.finding, HEADERS)

    def _clear(self) -> None:
        while self._held and self._held[0].arrived:
            self._held.popleft()

    def _failed(self, error: OSError) -> None:
        if not self._ill:
            log.error("alerts cannot be sent to topic %s: %s", self._topic.topic, error)
        self._ill = True
