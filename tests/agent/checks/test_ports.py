from __future__ import annotations

import socket
from pathlib import Path

from agent.check import Finding
from agent.checks.ports import tasks
from bench.kafka.certificates import Authority
from tests.agent.checks.subjects import levels, subject


def look(folder: Path, text: str, *, running: bool = False) -> list[Finding]:
    return [finding for task in tasks(subject(folder, text, running=running)) for finding in task.work()]


def test_free_and_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        text = f"metrics:\n  listen: 127.0.0.1:{taken.getsockname()[1]}\n"
        (found,) = look(tmp_path, text)
        assert (found.level, found.place[-2:]) == ("fail", ":2")
        assert levels(look(tmp_path, text, running=True)) == ["ok"], "the agent that runs has it"
    assert levels(look(tmp_path, text)) == ["ok"]


def test_an_address_of_another_host(tmp_path: Path) -> None:
    (_, found) = look(
        tmp_path,
        "metrics: {listen: '127.0.0.1:0'}\nlogs:\n  syslog:\n    a: {transport: udp, listen: '203.0.113.9:5514'}\n",
        running=True,
    )
    assert found.level == "fail"
    assert "203.0.113.9" in found.message


def test_a_listener_with_tls_needs_its_certificates(tmp_path: Path) -> None:
    authority = Authority()
    mine = authority.issue(tmp_path, "me")
    text = (
        "metrics: {listen: '127.0.0.1:0'}\nlogs:\n  syslog:\n"
        f"    a: {{listen: '127.0.0.1:0', certificate: {mine.certificate}, key: {mine.key}, ca: {tmp_path}/ca.pem}}\n"
    )
    assert levels(look(tmp_path, text)) == ["ok", "ok", "warn", "fail"], "a certificate of a day, and no authority"
    authority.write(tmp_path / "ca.pem")
    assert levels(look(tmp_path, text)) == ["ok", "ok", "warn", "ok"]
