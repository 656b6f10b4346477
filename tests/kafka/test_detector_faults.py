"""A detector whose rights or certificate go bad: it says so, holds what it has, and goes on once that is mended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from kafka import KafkaAdminClient, KafkaProducer
from kafka.admin import (
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePatternFilter,
    ResourceType,
)

from bench.kafka.broker import SecureBroker, make_topic
from bench.transport import verdict
from bench.transport.site import Detector, wait_for
from nigrani.stream.codec import encode
from nigrani.stream.events import NetworkFlow

NAMES = ("topic", "alerts", "state")
PATIENCE = 40.0


class Site:
    """Topics, rights and one detector of its own on a broker with access control."""

    def __init__(self, broker: SecureBroker, folder: Path) -> None:
        self.broker = broker
        mark = uuid4().hex
        self.topics = {name: f"{name}-{mark}" for name in NAMES}
        for name in self.topics.values():
            make_topic(broker.servers, name, 2, client=broker.client())
        broker.allow("detector", ResourceType.TOPIC, self.topics["topic"], ACLOperation.READ, ACLOperation.DESCRIBE)
        broker.allow("detector", ResourceType.GROUP, mark, ACLOperation.READ)
        for name in ("alerts", "state"):
            self.allow(name, ACLOperation.READ, ACLOperation.DESCRIBE, ACLOperation.WRITE)
        tls = {
            "ca": str(broker.certificates / "ca.crt"),
            "certificate": str(folder / "detector.crt"),
            "key": str(folder / "detector.key"),
        }
        self.folder = folder
        self.certify()
        kafka = {"servers": [broker.servers], "group": mark, "tls": tls, "session_timeout": 6.0, **self.topics}
        self.detector = Detector(folder, 0, kafka, checkpoints={"seconds": 0.5})
        self._producer = KafkaProducer(**broker.client())
        self._sequence = 0

    def certify(self, until: datetime | None = None) -> None:
        """Give the detector a certificate; the broker's own set where no end is said."""
        if until is None:
            for ending in ("crt", "key"):
                (self.folder / f"detector.{ending}").write_bytes(
                    (self.broker.certificates / f"detector.{ending}").read_bytes()
                )
            return
        self.broker.authority.issue(self.folder, "detector", until=until)

    def allow(self, name: str, *operations: ACLOperation) -> None:
        self.broker.allow("detector", ResourceType.TOPIC, self.topics[name], *operations)

    def deny(self, name: str) -> None:
        """Take the right to write back."""
        wanted = ACLFilter(
            principal="User:detector",
            host="*",
            operation=ACLOperation.WRITE,
            permission_type=ACLPermissionType.ALLOW,
            resource_pattern=ResourcePatternFilter(ResourceType.TOPIC, self.topics[name], ACLResourcePatternType.LITERAL),
        )
        with KafkaAdminClient(**self.broker.client()) as admin:
            admin.delete_acls([wanted])

    def scan(self, host: str) -> None:
        """What the rule `port_scan` tells of, by one host."""
        now = datetime.now(UTC)
        for port in range(60):
            event = NetworkFlow(
                timestamp=now, id=f"{self._sequence:026x}", sequence=self._sequence, agent="a", host=host, source=host,
                destination="ip:pacs", destination_port=port + 1, transport="tcp", kind="ipv4", state="REJ",
            )  # fmt: skip
            self._sequence += 1
            self._producer.send(self.topics["topic"], encode(event), host.encode())
        self._producer.flush()

    def told(self) -> list[int]:
        """How often each alert was told."""
        return list(verdict.alerts(self.broker.servers, self.topics["alerts"], self.broker.client()).values())

    def metric(self, name: str, **labels: str) -> float:
        return self.detector.metric(name, **labels) or 0.0

    def says(self, words: str) -> bool:
        return words in self.detector.log.read_text()

    def until(self, what: str, check: Callable[[], bool]) -> None:
        try:
            wait_for(what, check, PATIENCE)
        except TimeoutError as error:
            raise AssertionError(f"{error}; the detector said: {self.detector.log.read_text()[-3000:]}") from None

    def close(self) -> None:
        self._producer.close()
        if self.detector.runs:
            self.detector.stop()


@pytest.fixture
def site(secure_broker: SecureBroker, tmp_path: Path) -> Iterator[Site]:
    one = Site(secure_broker, tmp_path)
    yield one
    one.close()


def test_alerts_that_must_not_be_written_wait_until_they_may(site: Site) -> None:
    site.detector.start()
    site.until("partitions", lambda: site.metric("nigrani_detector_partitions") == 2)
    site.scan("ip:one")
    site.until("the first alert", lambda: len(site.told()) == 1)
    site.deny("alerts")
    site.scan("ip:two")
    site.until("an alert that waits", lambda: site.metric("nigrani_alerts_pending") == 1)
    site.until("a word on it", lambda: site.says("alerts cannot be sent") and site.says("WRITE"))
    assert site.metric("nigrani_detector_checkpoints_total", result="failed") > 0
    site.allow("alerts", ACLOperation.WRITE)
    site.until("the alert", lambda: len(site.told()) == 2)
    site.until("nothing waits", lambda: site.metric("nigrani_alerts_pending") == 0)
    site.until("a word on the end", lambda: site.says("alerts go to topic"))
    assert site.told() == [1, 1]


def test_states_that_must_not_be_written_are_kept_later(site: Site) -> None:
    site.detector.start()
    site.until("partitions", lambda: site.metric("nigrani_detector_partitions") == 2)
    site.deny("state")
    site.scan("ip:one")
    site.until("a word on it", lambda: site.says("states cannot be kept"))
    site.until("the alert all the same", lambda: site.told() == [1])
    assert site.metric("nigrani_detector_unkept_seconds") > 0
    site.detector.kill()
    site.allow("state", ACLOperation.WRITE)
    site.detector.start()
    site.until("judged again", lambda: site.metric("nigrani_detector_retold_total") == 1)
    site.until("kept", lambda: site.metric("nigrani_detector_unkept_seconds") == 0)
    assert site.told() == [1]


def test_an_expired_certificate_is_named_and_a_new_one_is_taken_without_a_restart(site: Site) -> None:
    site.certify(until=datetime.now(UTC) - timedelta(hours=1))
    site.detector.start()
    site.until("trouble", lambda: site.metric("nigrani_bus_trouble", kind="certificate") == 1)
    assert site.says("certificate")
    site.certify()
    site.scan("ip:one")
    site.until("the alert", lambda: site.told() == [1])
    site.until("no trouble", lambda: site.metric("nigrani_bus_trouble") == 0)
