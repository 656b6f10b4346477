"""Rules tried on a topic's past, as a responder does it at a terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer

from bench.kafka.broker import Server

ROOT = Path(__file__).parents[2]
DAY = 86_400
HOSTS = 6
QUERIES = 130
"""C-FIND requests of one device within two minutes: more than the shipped rule allows."""


def query(host: int, number: int, when: float) -> dict[str, Any]:
    return {
        "event.dataset": "dicom.association",
        "@timestamp": datetime.fromtimestamp(when, UTC).isoformat(),
        "event.id": f"{host:016x}{number:010x}",
        "event.sequence": number,
        "agent.id": "mirror",
        "host.id": f"ip:{host}",
        "source.address": f"ip:{host}",
        "destination.address": "ip:pacs",
        "event.action": "c-find",
    }


def queries(days: tuple[int, ...], now: float) -> list[dict[str, Any]]:
    """Of each host and day one burst, in the order of time."""
    found = [
        query(host, day * QUERIES + number, now - day * DAY + number + host / 100)
        for day in sorted(days, reverse=True)
        for number in range(QUERIES)
        for host in range(HOSTS)
    ]
    return sorted(found, key=lambda event: event["@timestamp"])


def send(servers: str, topic: str, events: list[dict[str, Any]]) -> None:
    """As agents do: keyed by host, with the events' time; every third message a batch of lines."""
    producer = KafkaProducer(bootstrap_servers=servers, linger_ms=50)
    for number, event in enumerate(events):
        key = event["host.id"].encode()
        when = int(datetime.fromisoformat(event["@timestamp"]).timestamp() * 1000)
        line = json.dumps(event).encode()
        batch = number % 3 == 0
        headers = [("content-type", b"application/x-ndjson" if batch else b"application/json")]
        headers += [("nigrani-count", b"1")] if batch else []
        producer.send(topic, line, key=key, headers=headers, timestamp_ms=when)
    producer.flush()
    producer.close()


def backtest(state: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nigrani.cli", "rules", "backtest", "cfind_enumeration", *words]
    environment = {**os.environ, "NIGRANI_STATE": str(state)}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=ROOT, env=environment, check=False)


@pytest.mark.parametrize("topic", [3], indirect=True)
def test_a_topics_past_says_what_a_file_of_it_says(broker: Server, topic: str, tmp_path: Path) -> None:
    now = time.time() - 3600
    events = queries((0, 1, 3, 6, 9), now)
    send(broker.servers, topic, events)
    config = tmp_path / "detector.yaml"
    config.write_text(f"kafka:\n  servers: [{broker.servers}]\n  topic: {topic}\n")
    result = backtest(tmp_path, "--since", "7d", "--config", str(config), "--json")
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["events"] == 4 * HOSTS * QUERIES, "the burst of nine days ago is older than was asked for"
    assert len(told["days"]) == 4
    assert told["alerts"] == 4 * HOSTS
    assert {day["alerts"] for day in told["days"].values()} == {HOSTS}

    written = tmp_path / "events.ndjson"
    written.write_text("".join(json.dumps(event) + "\n" for event in events))
    again = backtest(tmp_path, str(written), "--since", "7d", "--json")
    assert json.loads(again.stdout) == told

    shown = backtest(tmp_path, "--since", "2d", "--config", str(config))
    assert "in all" in shown.stdout
    assert f"on {2 * HOSTS * QUERIES:,} events of 2 days" in shown.stdout


def test_an_empty_topic_and_one_that_is_not_there_say_so(broker: Server, topic: str, tmp_path: Path) -> None:
    for name, said in ((topic, "no events to try it on"), (f"{topic}-other", "topic")):
        config = tmp_path / "detector.yaml"
        config.write_text(f"kafka:\n  servers: [{broker.servers}]\n  topic: {name}\n")
        result = backtest(tmp_path, "--since", "7d", "--config", str(config))
        assert result.returncode == 1
        assert said in result.stderr
        assert "Traceback" not in result.stderr
