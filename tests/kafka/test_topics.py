"""`nigrani topics` on a real broker: made, compared, brought to what they should be, shown and read."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType

from bench.kafka.broker import Broker, Cluster
from nigrani import cli
from nigrani.stream.kafka.message import BatchWire, EventWire
from tests.used import Report


@pytest.fixture
def names() -> list[str]:
    """Of a site of its own."""
    stem = f"site{time.monotonic_ns()}"
    return [f"{stem}.{kind}" for kind in ("events", "alerts", "state")]


@pytest.fixture
def config(broker: Broker, names: list[str], tmp_path: Path) -> Path:
    return written(tmp_path, broker.servers, names)


def written(folder: Path, servers: str, names: list[str]) -> Path:
    path = folder / "detector.yaml"
    kafka = {"servers": servers.split(","), "topic": names[0], "alerts": names[1], "state": names[2], "group": names[0]}
    path.write_text(json.dumps({"kafka": kafka}))
    return path


def settings(servers: str, name: str) -> dict[str, str]:
    with KafkaAdminClient(bootstrap_servers=servers) as admin:
        told = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)], config_filter="all")
    return {key: entry["value"] for key, entry in told["topic"][name].items()}


def test_topics_are_made_once_and_then_compared(
    broker: Broker, config: Path, names: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["topics", "create", "--config", str(config), "--partitions", "3"]) == 0
    assert capsys.readouterr().out.splitlines() == [f"{name}: made, with 3 partitions of 1 replicas" for name in names]
    events, alerts, state = (settings(broker.servers, name) for name in names)
    assert (events["cleanup.policy"], events["retention.ms"]) == ("delete", str(7 * 86_400_000))
    assert (alerts["cleanup.policy"], state["cleanup.policy"]) == ("compact,delete", "compact")
    assert int(state["max.message.bytes"]) > 16 << 20
    assert {each["min.insync.replicas"] for each in (events, alerts, state)} == {"1"}
    assert cli.main(["topics", "create", "--config", str(config)]) == 0
    assert capsys.readouterr().out.splitlines() == [f"{name}: as it should be" for name in names]


def test_differences_are_told_and_altered(
    broker: Broker, config: Path, names: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with KafkaAdminClient(bootstrap_servers=broker.servers) as admin:
        admin.create_topics(
            {names[0]: {"num_partitions": 2, "configs": {"retention.ms": "3600000"}}}, wait_for_metadata=True
        )
        admin.create_topics({names[2]: {"num_partitions": 1}}, wait_for_metadata=True)
    assert cli.main(["topics", "create", "--config", str(config), "--retention", "2d"]) == 1
    told = capsys.readouterr().out.splitlines()
    assert f"{names[0]}: retention.ms is 3600000, should be 172800000" in told
    assert f"{names[1]}: made, with 2 partitions of 1 replicas" in told
    assert f"{names[2]}: 1 partitions, should be 2" in told
    assert f"{names[2]}: cleanup.policy is delete, should be compact" in told
    assert cli.main(["topics", "create", "--config", str(config), "--retention", "2d", "--alter"]) == 0
    told = capsys.readouterr()
    assert told.out.splitlines() == [f"{name}: as it should be" for name in names]
    assert told.err == f"nigrani: {names[2]} gets 1 more partitions: devices move between partitions\n"
    assert settings(broker.servers, names[0])["retention.ms"] == "172800000"
    assert cli.main(["topics", "create", "--config", str(config), "--partitions", "1", "--alter"]) == 1
    assert f"{names[0]}: 2 partitions, should be 1" in capsys.readouterr().out


def test_replicas_follow_the_brokers(
    cluster: Cluster, names: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = written(tmp_path, cluster.servers, names)
    assert cli.main(["topics", "create", "--config", str(config), "--partitions", "2"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == f"{names[0]}: made, with 2 partitions of 3 replicas"
    assert settings(cluster.servers, names[0])["min.insync.replicas"] == "2"


def test_a_list_of_what_is_there(broker: Broker, config: Path, names: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["topics", "list", "--config", str(config), "--json"]) == 1
    assert [json.loads(line)["partitions"] for line in capsys.readouterr().out.splitlines()] == [None] * 3
    cli.main(["topics", "create", "--config", str(config), "--partitions", "2"])
    with KafkaProducer(bootstrap_servers=broker.servers) as producer:
        for number in range(10):
            producer.send(names[0], b"%d" % number, partition=number % 2)
    group = {"group_id": names[0], "enable_auto_commit": False, "auto_offset_reset": "earliest", "max_poll_records": 4}
    with KafkaConsumer(names[0], bootstrap_servers=broker.servers, **group) as consumer:
        while not (records := consumer.poll(500)):
            pass
        consumer.commit()
    done = sum(map(len, records.values()))
    capsys.readouterr()
    assert cli.main(["topics", "list", "--config", str(config), "--json"]) == 0
    events, alerts, _ = map(json.loads, capsys.readouterr().out.splitlines())
    assert (events["topic"], events["partitions"], events["replicas"], events["out_of_sync"]) == (names[0], 2, 1, 0)
    assert (events["messages"], events["lag"]) == (10, 10 - done)
    assert events["bytes"] > 0
    assert (alerts["messages"], alerts["lag"]) == (0, None)
    assert cli.main(["topics", "list", "--config", str(config)]) == 0
    head, row, *_ = capsys.readouterr().out.splitlines()
    assert head.split() == ["topic", "partitions", "replicas", "out", "of", "sync", "messages", "bytes", "lag"]
    assert row.split()[:5] == [names[0], "2", "1", "0", "10"]


@pytest.fixture
def held(broker: Broker, config: Path, names: list[str], capfdbinary: pytest.CaptureFixture[bytes]) -> list[bytes]:
    """Events of forty hosts over three partitions and both wire formats, a second apart by their producer's clock."""
    cli.main(["topics", "create", "--config", str(config), "--partitions", "3"])
    lines = [b'{"host.id":"host-%d","n":%d}' % (number % 40, number) for number in range(3000)]
    now = int(time.time() * 1000)
    wires = EventWire(), BatchWire()
    with KafkaProducer(bootstrap_servers=broker.servers) as producer:
        for number, line in enumerate(lines):
            [message] = wires[number % 2].pack([line], 3).messages
            when = now - (3000 - number) * 1000
            producer.send(names[0], message.value, message.key, message.headers, message.partition, when)
        producer.send(names[0], b"?", partition=0, headers=[("content-type", b"image/png")])
    capfdbinary.readouterr()
    return lines


def test_what_a_topic_holds_comes_in_the_order_of_time(
    config: Path, held: list[bytes], capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert cli.main(["topics", "cat", "--config", str(config)]) == 0
    told = capfdbinary.readouterr()
    assert told.out.splitlines() == held
    assert told.err == b"nigrani: 1 messages hold no events, and were left out\n"
    assert cli.main(["topics", "cat", "--config", str(config), "--since", "10m"]) == 0
    assert 590 <= len(capfdbinary.readouterr().out.splitlines()) <= 600
    assert cli.main(["topics", "cat", "--config", str(config), "--limit", "7"]) == 0
    assert capfdbinary.readouterr().out.splitlines() == held[:7]


def test_reading_a_topic_leaves_no_group(broker: Broker, config: Path, held: list[bytes], names: list[str]) -> None:
    cli.main(["topics", "cat", "--config", str(config)])
    with KafkaAdminClient(bootstrap_servers=broker.servers) as admin:
        assert not any(names[0] in str(group) for group in admin.list_groups())


def test_alerts_that_were_taken_back_are_left_out(
    broker: Broker, config: Path, names: list[str], capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    cli.main(["topics", "create", "--config", str(config), "--partitions", "2"])
    capfdbinary.readouterr()
    with KafkaProducer(bootstrap_servers=broker.servers) as producer:
        producer.send(names[1], b'{"uid":1}', b"1", partition=0)
        producer.send(names[1], None, b"1", partition=0)
    assert cli.main(["topics", "cat", "--config", str(config), "--topic", "alerts"]) == 0
    assert capfdbinary.readouterr() == (b'{"uid":1}\n', b"")


def test_what_retention_dropped_is_no_hindrance(
    broker: Broker, config: Path, held: list[bytes], names: list[str], capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    with KafkaAdminClient(bootstrap_servers=broker.servers) as admin:
        admin.delete_records({TopicPartition(names[0], number): 100 for number in range(3)})
    assert cli.main(["topics", "cat", "--config", str(config)]) == 0
    assert len(capfdbinary.readouterr().out.splitlines()) == 2700


def test_a_topic_that_is_not_there(config: Path, names: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["topics", "cat", "--config", str(config)]) == 1
    assert capsys.readouterr().err.startswith(f"nigrani: topic {names[0]} does not exist")


def test_brokers_that_are_not_there(tmp_path: Path, names: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    config = written(tmp_path, "127.0.0.1:1", names)
    for verb in ("list", "cat"):
        assert cli.main(["topics", verb, "--config", str(config)]) == 1
        assert "no broker can be reached" in capsys.readouterr().err


def test_a_cluster_that_never_had_a_group_is_listed(tmp_path: Path, brokers: Report, no_kafka: str | None) -> None:
    """Its books of groups are made when the first is asked for, which takes the brokers a moment."""
    if no_kafka:
        brokers.missing.append("the first question for a group: the stand-in keeps no such books")
        pytest.skip(brokers.missing[-1])
    config = tmp_path / "detector.yaml"
    with Broker(tmp_path / "kafka") as own:
        config.write_text(f'kafka: {{servers: ["{own.servers}"]}}')
        made = [sys.executable, "-m", "nigrani.cli", "topics"]
        subprocess.run([*made, "create", "--config", config, "--replication", "1"], check=True)
        listed = subprocess.run([*made, "list", "--config", config], check=False, capture_output=True, text=True)
    assert (listed.returncode, listed.stderr) == (0, "")
    assert listed.stdout.count("nigrani.") == 3
