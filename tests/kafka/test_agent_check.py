"""What `nigrani agent check` says of a cluster with certificates, passwords and access control."""

from __future__ import annotations

import datetime as dt
import time
from pathlib import Path
from uuid import uuid4

import pytest
from kafka.admin import ACLOperation, ResourceType

from agent.check import Finding, findings
from agent.checks.kafka import tasks
from bench.kafka.broker import SecureBroker, Server, make_topic
from tests.agent.checks.subjects import subject

SECONDS = 6.0


def look(folder: Path, text: str) -> dict[str, list[Finding]]:
    """About → findings."""
    it = subject(folder, f"kafka:\n{text}", seconds=SECONDS)
    found: dict[str, list[Finding]] = {}
    begin = time.monotonic()
    for finding in findings(list(tasks(it)), SECONDS):
        found.setdefault(finding.about, []).append(finding)
    assert time.monotonic() - begin < SECONDS + 1
    return found


def of(broker: SecureBroker, topic: str, user: str = "agent-01") -> str:
    folder = broker.certificates
    tls = f"{{ca: {folder}/ca.crt, certificate: {folder}/{user}.crt, key: {folder}/{user}.key}}"
    return f"  servers: ['{broker.servers}']\n  topic: {topic}\n  tls: {tls}\n"


@pytest.fixture(scope="module")
def guarded(secure_broker: SecureBroker) -> str:
    name = make_topic(secure_broker.servers, f"checked-{uuid4().hex}", 3, client=secure_broker.client())
    secure_broker.allow("agent-01", ResourceType.TOPIC, name, ACLOperation.WRITE, ACLOperation.DESCRIBE)
    secure_broker.allow("detector", ResourceType.TOPIC, name, ACLOperation.READ, ACLOperation.DESCRIBE)
    return name


def test_all_is_well(secure_broker: SecureBroker, guarded: str, tmp_path: Path) -> None:
    found = look(tmp_path, of(secure_broker, guarded))
    (topic,) = found[f"topic {guarded}"]
    assert (topic.level, topic.message) == ("ok", "is there, with 3 partitions, and we may write to it")
    (server,) = found[f"kafka {secure_broker.servers}"]
    assert server.level == "warn", "the test's certificates are of one day"
    assert "can be reached; its certificate ends in 0 days" in server.message


def test_who_may_not_write(secure_broker: SecureBroker, guarded: str, tmp_path: Path) -> None:
    (topic,) = look(tmp_path, of(secure_broker, guarded, "detector"))[f"topic {guarded}"]
    assert topic.level == "fail"
    assert "we lack the right to WRITE" in topic.message


def test_a_topic_that_is_not_there_is_not_made(secure_broker: SecureBroker, tmp_path: Path) -> None:
    name = f"nowhere-{uuid4().hex}"
    for _ in range(2):
        (topic,) = look(tmp_path, of(secure_broker, name, "admin"))[f"topic {name}"]
        assert (topic.level, topic.message.partition(" (")[0]) == ("fail", f"topic {name} does not exist")


def test_a_certificate_that_is_over(secure_broker: SecureBroker, guarded: str, tmp_path: Path) -> None:
    late = dt.datetime.now(dt.UTC) - dt.timedelta(days=2)
    secure_broker.authority.issue(secure_broker.certificates, "agent-01", file="late", until=late)
    found = look(tmp_path, of(secure_broker, guarded, "late"))
    assert [finding.level for finding in found["kafka"]].count("fail") == 1
    assert any("late.crt ended on" in finding.message for finding in found["kafka"])
    (server,) = found[f"kafka {secure_broker.servers}"]
    assert server.level == "fail"
    assert "TLS does not come about" in server.message


def test_a_wrong_password(secure_broker: SecureBroker, guarded: str, tmp_path: Path) -> None:
    secure_broker.add_user("agent-01", "right")
    (tmp_path / "password").write_text("wrong")
    (tmp_path / "password").chmod(0o600)
    text = (
        f"  servers: ['{secure_broker.sasl_servers}']\n  topic: {guarded}\n"
        f"  tls: {{ca: {secure_broker.certificates}/ca.crt}}\n"
        f"  sasl: {{user: agent-01, password: {tmp_path}/password}}\n"
    )
    (topic,) = look(tmp_path, text)[f"topic {guarded}"]
    assert topic.level == "fail"
    assert "user or password is not accepted" in topic.message
    (tmp_path / "password").write_text("right")
    (topic,) = look(tmp_path, text)[f"topic {guarded}"]
    assert topic.level == "ok"


def test_a_plain_broker(broker: Server, topic: str, tmp_path: Path) -> None:
    found = look(tmp_path, f"  servers: ['{broker.servers}']\n  topic: {topic}\n")
    assert found[f"kafka {broker.servers}"][0].level == "ok"
    assert found[f"topic {topic}"][0].level in {"ok", "warn"}
    assert "is there, with 1 partitions" in found[f"topic {topic}"][0].message
