"""What is printed; tests/kafka gives rights on a real broker."""

from __future__ import annotations

import pytest

from nigrani import cli

SERVERS = ("--set", "kafka.servers=[127.0.0.1:1]")


def test_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["topics", "acls", *SERVERS, "--agent", "pc-1", "pc-2", "--detector", "d"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + 4
    assert all(line.startswith("kafka-acls.sh --bootstrap-server 127.0.0.1:1 ") for line in lines)
    assert lines[1].endswith("User:pc-2 --topic nigrani.events --operation Write --operation Describe")


def test_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["topics", "acls", *SERVERS, "--agent", "pc-1", "--table"]) == 0
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["user", "kind", "name", "operation"],
        ["pc-1", "topic", "nigrani.events", "WRITE"],
        ["pc-1", "topic", "nigrani.events", "DESCRIBE"],
    ]


def test_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["topics", "acls", *SERVERS]) == 2
    assert capsys.readouterr().err == "nigrani: name users with --agent or --detector\n"
