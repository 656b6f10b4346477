"""The rights that `nigrani topics acls` names are enough, and no more than that."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from kafka import KafkaConsumer, KafkaProducer
from kafka.errors import GroupAuthorizationFailedError, TopicAuthorizationFailedError

from bench.kafka.broker import SecureBroker, make_topic
from nigrani import cli
from nigrani.stream.bus import BusError
from nigrani.stream.feed import Delivery
from nigrani.stream.kafka import access
from nigrani.stream.kafka.consumer import GroupFeed
from nigrani.stream.kafka.log import TopicLog
from nigrani.stream.kafka.settings import Tls, Topics
from nigrani.stream.kafka.topics import Admin

SHORT = {"max_block_ms": 3000, "delivery_timeout_ms": 4000, "request_timeout_ms": 2000}


class Site:
    """Topics on a guarded broker, and how its users reach them."""

    def __init__(self, broker: SecureBroker) -> None:
        self.broker = broker
        self.stem = f"site{time.monotonic_ns()}"
        self.topics = self.seen_by("detector")
        for name in (self.topics.topic, self.topics.alerts, self.topics.state):
            make_topic(broker.servers, name, 2, client=broker.client())

    def seen_by(self, user: str) -> Topics:
        folder = self.broker.certificates
        return Topics(
            servers=(self.broker.servers,),
            tls=Tls(folder / "ca.crt", folder / f"{user}.crt", folder / f"{user}.key"),
            topic=f"{self.stem}.events",
            alerts=f"{self.stem}.alerts",
            state=f"{self.stem}.state",
            group=f"{self.stem}.group",
            session_timeout=6,
        )

    def write(self, user: str, topic: str) -> None:
        """Raises TopicAuthorizationFailedError where that is not allowed."""
        with KafkaProducer(**self.broker.client(user), acks="all", **SHORT) as producer:
            producer.send(topic, b"1", b"key", partition=0).get(5)

    def read(self, user: str, topic: str) -> None:
        """Raises BusError where that is not allowed."""
        log = TopicLog(self.seen_by(user), topic)
        try:
            list(log.read(0))
        finally:
            log.close()

    def join(self, user: str, group: str) -> None:
        """Raises GroupAuthorizationFailedError where that is not allowed."""
        with KafkaConsumer(self.topics.topic, **self.broker.client(user), group_id=group) as consumer:
            consumer.poll(1500)


@pytest.fixture(scope="module")
def site(secure_broker: SecureBroker) -> Site:
    made = Site(secure_broker)
    with Admin(made.seen_by("admin")) as admin:
        access.apply(admin, access.rights(made.topics, ["agent-01"], ["detector"]))
    return made


def test_an_agent_may_write_events(site: Site) -> None:
    site.write("agent-01", site.topics.topic)


def test_an_agent_may_do_nothing_else(site: Site) -> None:
    for name in (site.topics.alerts, site.topics.state):
        with pytest.raises(TopicAuthorizationFailedError):
            site.write("agent-01", name)
    for name in (site.topics.topic, site.topics.alerts, site.topics.state):
        with pytest.raises(BusError, match="do not allow this user on topic"):
            site.read("agent-01", name)
    with pytest.raises(GroupAuthorizationFailedError):
        site.join("agent-01", site.topics.group)


def test_a_detector_may_read_events_and_keep_alerts_and_states(site: Site) -> None:
    site.write("admin", site.topics.topic)
    found: list[Delivery] = []

    class Owner:
        def begin(self, partition: int) -> int | None:
            return None

        def end(self, partition: int) -> None:
            pass

        def lost(self, partition: int) -> None:
            raise AssertionError(partition)

    feed = GroupFeed(site.topics)
    feed.start(Owner())
    deadline = time.monotonic() + 20
    while not found and time.monotonic() < deadline:
        found += feed.poll(0.2)
    feed.done(found[0].partition, found[0].next)
    feed.close()
    with Admin(site.seen_by("admin")) as admin:
        use = admin.use(site.topics.topic)
    assert use is not None
    assert use.lag is not None  # the commit was allowed too
    for name in (site.topics.alerts, site.topics.state):
        log = TopicLog(site.topics, name)
        log.append(1, b"key", b"1")
        log.flush(10)
        assert [entry.value for entry in log.read(1)] == [b"1"]
        log.close()


def test_a_detector_may_not_write_events_nor_join_another_group(site: Site) -> None:
    with pytest.raises(TopicAuthorizationFailedError):
        site.write("detector", site.topics.topic)
    with pytest.raises(GroupAuthorizationFailedError):
        site.join("detector", "another")


def test_neither_may_make_topics(site: Site) -> None:
    for user in ("agent-01", "detector"):
        other = Topics(**{**vars(site.seen_by(user)), "topic": f"{site.stem}.another"})
        with Admin(other) as admin, pytest.raises(BusError, match="do not allow this user"):
            admin.create(_shape(other))


def _shape(topics: Topics) -> object:
    from nigrani.stream.kafka.topics import shapes  # noqa: PLC0415 - here alone

    return shapes(topics, 1, 1)[0]


def test_the_command_gives_rights(secure_broker: SecureBroker, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site = Site(secure_broker)
    config = tmp_path / "detector.yaml"
    for user in ("admin", "agent-01"):
        topics = site.seen_by(user)
        tls = {name: str(path) for name, path in vars(topics.tls).items()}
        names = {name: getattr(topics, name) for name in ("topic", "alerts", "state", "group")}
        config.write_text(json.dumps({"kafka": {"servers": list(topics.servers), "tls": tls, **names}}))
        code = cli.main(["topics", "acls", "--config", str(config), "--agent", "agent-01", "--apply"])
        told = capsys.readouterr()
        if user == "admin":
            assert (code, told.err) == (0, "nigrani: 2 rights given\n")
        else:
            assert code == 1
            assert "2 rights were refused (ClusterAuthorizationFailedError)" in told.err
    site.write("agent-01", site.topics.topic)
