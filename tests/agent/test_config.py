from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from agent.config import AgentConfig, Privacy
from nigrani.service.config import load
from nigrani.service.errors import BadConfig
from tests.agent.packets import ROOT


def test_the_defaults_stand_without_a_file() -> None:
    config = load(AgentConfig, None)
    assert config == AgentConfig()
    assert (config.meter.capacity, config.privacy.domains, config.metrics.listen) == (65_536, "suffix", "127.0.0.1:9465")


def test_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "agent.yaml"
    path.write_text(
        "name: probe-3\ninterfaces: [eth0, eth1]\nhost: 10.0.0.2\nmeter:\n  capacity: 4096\n  conversations: 100\n"
        "privacy:\n  key: /etc/nigrani/site.key\n  zones:\n    imaging: [10.20.0.0/16, 'fd00::/64']\n    wards: []\n"
        "  ae_titles: [PACS]\n  domains: token\nbus:\n  path: /var/lib/bus\n  max_bytes: 100000000\n  fsync: always\n"
        "metrics:\n  listen: '[::1]:9465'\n"
    )
    config = load(AgentConfig, path)
    assert (config.name, config.interfaces, config.host) == ("probe-3", ("eth0", "eth1"), "10.0.0.2")
    assert config.privacy == Privacy(
        key=Path("/etc/nigrani/site.key"),
        zones={"imaging": ("10.20.0.0/16", "fd00::/64"), "wards": ()},
        ae_titles=("PACS",),
        domains="token",
    )
    assert (config.meter.capacity, config.bus.fsync, config.bus.path) == (4096, "always", Path("/var/lib/bus"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("privacy: {domains: all}", "1: privacy.domains"),
        ("meter: {capacity: many}", "1: meter.capacity"),
        ("interfaces: eth0", "1: interfaces"),
        ("privacy:\n  zones: [10.0.0.0/8]", "2: privacy.zones"),
        ("bus: {fsync: sometimes}", "1: bus.fsync"),
    ],
)
def test_wrong_values_are_told_with_their_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "agent.yaml"
    path.write_text(text)
    with pytest.raises(BadConfig, match=message):
        load(AgentConfig, path)


def test_kafka(tmp_path: Path) -> None:
    assert AgentConfig().kafka.servers == ()
    path = tmp_path / "agent.yaml"
    path.write_text(
        "kafka:\n  servers: [kafka-1:9093, kafka-2:9093]\n  topic: site-7.events\n  wire: batch\n  compression: lz4\n"
        "  tls: {ca: /c/ca.pem, certificate: /c/me.pem, key: /c/me.key}\n  sasl: {user: me, password: /c/password}\n"
    )
    kafka = load(AgentConfig, path).kafka
    assert (kafka.servers, kafka.topic) == (("kafka-1:9093", "kafka-2:9093"), "site-7.events")
    assert (kafka.wire, kafka.compression, kafka.client, kafka.protocol) == ("batch", "lz4", "kafka-python", "SASL_SSL")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kafka: {servers: [kafka-1]}", "1: kafka.servers: 'kafka-1' is not host:port"),
        ("kafka: {topic: a b}", "1: kafka.topic 'a b' is no topic's name"),
        ("kafka: {wire: arrow}", "1: kafka.wire"),
        ("kafka: {compression: gzip}", "1: kafka.compression"),
        ("kafka: {client: aiokafka}", "1: kafka.client"),
        ("kafka:\n  tls: {certificate: /me.pem}", "2: tls.certificate and tls.key go together"),
        ("kafka: {password: secret}", "1: unknown setting kafka.password"),
    ],
)
def test_wrong_ways_to_kafka_are_told_with_their_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "agent.yaml"
    path.write_text(text)
    with pytest.raises(BadConfig, match=message):
        load(AgentConfig, path)


def test_no_default_can_be_changed_in_passing() -> None:
    for part in (AgentConfig(), AgentConfig().meter, AgentConfig().privacy, AgentConfig().bus, AgentConfig().metrics):
        with pytest.raises(dataclasses.FrozenInstanceError):
            part.x = 1  # type: ignore[union-attr]


@pytest.mark.parametrize("path", sorted((ROOT / "config").glob("agent*.yaml")), ids=lambda path: path.name)
def test_what_is_shipped_loads(path: Path) -> None:
    assert isinstance(load(AgentConfig, path), AgentConfig)


def test_faults_of_the_policy_have_their_own_lines(tmp_path: Path) -> None:
    path = tmp_path / "agent.yaml"
    path.write_text(
        "privacy:\n  zones:\n    x: [10.0.0.1/8]\n  classes:\n    user: keep\n  fields:\n    user.nam: drop\n"
        "    host.id: zone\n  map:\n    key: abc\n    max_bytes: 3\n"
    )
    with pytest.raises(BadConfig) as refused:
        load(AgentConfig, path)
    assert sorted(fault.line for fault in refused.value.faults) == [3, 5, 7, 8, 10, 11]
