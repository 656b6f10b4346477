"""The command line of it; tests/kafka makes topics on a real broker."""

from __future__ import annotations

import pytest

from nigrani import cli

SERVERS = ("--set", "kafka.servers=[127.0.0.1:1]")


def test_partitions_are_at_least_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["topics", "create", *SERVERS, "--partitions", "0"]) == 2
    assert capsys.readouterr().err == "nigrani: --partitions must be at least 1\n"


@pytest.mark.parametrize("words", [["--retention", "7"], ["--replication", "4"], ["--partitions", "x"]])
def test_what_cannot_be(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(["topics", "create", *SERVERS, *words])
    assert left.value.code == 2
    assert words[0] in capsys.readouterr().err


def test_without_brokers(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["topics", "create"]) == 2
    assert "no brokers are configured" in capsys.readouterr().err
