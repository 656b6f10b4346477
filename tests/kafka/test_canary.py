"""Canaries through the agent to Kafka: nothing of them is in a key, a header or a value, nor in what the broker refuses."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from agent.privacy import Tokens
from bench.kafka.server import Server
from tests import canary
from tests.kafka.test_forwarder import fresh, records

ROOT = Path(__file__).parents[2]
KEY = bytes(range(100, 132))


def test_no_canary_reaches_kafka(broker: Server, tmp_path: Path) -> None:
    (tmp_path / "site.key").touch(0o600)
    (tmp_path / "site.key").write_bytes(KEY)
    (tmp_path / "capture.pcap").write_bytes(canary.capture())
    for name, lines in canary.logs().items():
        (tmp_path / f"{name}.log").write_text("\n".join([*lines, *canary.broken(lines)]) + "\n")

    def nigrani(*words: object) -> bytes:
        environment = {**os.environ, "NIGRANI_STATE": str(tmp_path), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "nigrani.cli", "agent", *map(str, words)]
        return subprocess.run(command, env=environment, capture_output=True, timeout=120, check=True).stderr

    replay = nigrani("replay", tmp_path / "capture.pcap", *sorted(tmp_path.glob("*.log")), "--bus", tmp_path / "bus")
    topic = fresh(broker, max_message_bytes=1_000)
    kafka = f"kafka={{servers: ['{broker.servers}'], topic: {topic}, compression: none}}"
    changes = (kafka, "metrics.listen=127.0.0.1:0")
    said = nigrani("forward", "--verbose", "--until-empty", *(word for change in changes for word in ("--set", change)))
    found = list(records(broker.client(), topic))
    left = {"replay's log": replay, "forwarder's log": said, **canary.below(tmp_path / "bus")}
    for number, record in enumerate(found):
        left[f"record {number}"] = b"\0".join([record.key or b"", record.value, *(value for _, value in record.headers)])
    left["dead letters"] = (tmp_path / "dead-letter.ndjson").read_bytes()
    assert b'"reason":"refused"' in left["dead letters"]
    assert len(found) > 5
    assert canary.leaks(left) == []
    everything = b"".join(left.values())
    for kind, values in canary.NAMED.items():
        assert all(Tokens(KEY).of(kind, value.encode()).encode() in everything for value in values), kind
