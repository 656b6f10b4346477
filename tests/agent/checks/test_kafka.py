"""Kafka's servers without Kafka: refused, silent, unknown; with brokers in tests/kafka/test_check.py."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from agent.check import Finding, findings
from agent.checks.kafka import _rights, files, server, tasks
from tests.agent.checks.subjects import levels, subject

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


def test_a_port_that_nobody_listens_on(tmp_path: Path) -> None:
    (found,) = server("127.0.0.1:1", subject(tmp_path, "kafka:\n  servers: [127.0.0.1:1]\n"))
    assert (found.level, found.place[-2:]) == ("fail", ":2")
    assert "refused" in found.message


def test_servers_that_swallow_everything_cost_no_more_than_the_timeout(tmp_path: Path) -> None:
    """A full backlog: the kernel answers no further SYN, as a firewall that drops."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as silent:
        address = silent.getsockname()
        first = [socket.socket() for _ in range(4)]
        for one in first:
            one.setblocking(False)
            one.connect_ex(address)
        it = subject(tmp_path, f"kafka: {{servers: ['127.0.0.1:{address[1]}']}}", seconds=1.0)
        begin = time.monotonic()
        found = list(findings(list(tasks(it)), 1.0))
        assert time.monotonic() - begin < 3
        for one in first:
            one.close()
    assert [finding.level for finding in found if finding.about != "kafka"] == ["fail"] * 2
    assert all("no answer" in one.message or "timed out" in one.message for one in found if one.about != "kafka"), found


def test_files_and_libraries(tmp_path: Path) -> None:
    text = (
        "kafka:\n  servers: ['k:1']\n  tls:\n    ca: /nowhere/ca.pem\n"
        "  sasl:\n    user: me\n    password: /nowhere/password\n"
    )
    found = list(files(subject(tmp_path, text)))
    assert [(one.level, one.place[-2:]) for one in found] == [("fail", ":4"), ("fail", ":7")]
    (plain,) = files(subject(tmp_path, "kafka: {servers: ['k:1']}"))
    assert plain.level == "warn"
    assert "unencrypted" in plain.message


@pytest.mark.parametrize(
    ("given", "level"),
    [(["WRITE", "DESCRIBE"], "ok"), (["ALL"], "ok"), (["DESCRIBE", "READ"], "fail"), (None, "warn"), ([], "fail")],
)
def test_rights(given: list[str] | None, level: str) -> None:
    found: Finding = _rights("topic x", given, 6, "agent.yaml:1")
    assert found.level == level
    assert ("WRITE" in found.message) == (level == "fail")
    assert levels([found]) == [level]
