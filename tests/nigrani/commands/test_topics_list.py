"""What is shown; tests/kafka asks a real broker."""

from __future__ import annotations

import json
from typing import Any, Self

import pytest

from nigrani import cli
from nigrani.stream.kafka import topics
from nigrani.stream.kafka.topics import Found, Use

SERVERS = ("--set", "kafka.servers=[127.0.0.1:1]")


class Admin:
    """Stands in for one with a cluster."""

    uses: dict[str, Use]

    def __init__(self, _: object) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def use(self, name: str) -> Use | None:
        return self.uses.get(name)


@pytest.fixture
def uses(monkeypatch: pytest.MonkeyPatch) -> dict[str, Use]:
    Admin.uses = {
        "nigrani.events": Use("nigrani.events", Found(6, 3, 0, {}), 1234567, 99, 5),
        "nigrani.alerts": Use("nigrani.alerts", Found(6, 3, 0, {}), 2, None, None),
        "nigrani.state": Use("nigrani.state", Found(6, 3, 0, {}), 6, 7, None),
    }
    monkeypatch.setattr(topics, "Admin", Admin)
    return Admin.uses


def listed(capsys: pytest.CaptureFixture[str], code: int, *words: str) -> list[str]:
    assert cli.main(["topics", "list", *SERVERS, *words]) == code
    return capsys.readouterr().out.splitlines()


def test_a_table(uses: dict[str, Use], capsys: pytest.CaptureFixture[str]) -> None:
    assert listed(capsys, 0) == [
        "topic           partitions  replicas  out of sync   messages  bytes  lag",
        "nigrani.events           6         3            0  1,234,567     99    5",
        "nigrani.alerts           6         3            0          2      –    –",
        "nigrani.state            6         3            0          6      7    –",
    ]


def test_json(uses: dict[str, Use], capsys: pytest.CaptureFixture[str]) -> None:
    first: dict[str, Any] = json.loads(listed(capsys, 0, "--json")[0])
    assert first == {
        "topic": "nigrani.events",
        "partitions": 6,
        "replicas": 3,
        "out_of_sync": 0,
        "messages": 1234567,
        "bytes": 99,
        "lag": 5,
    }


def test_what_is_missing_or_out_of_sync_is_a_finding(uses: dict[str, Use], capsys: pytest.CaptureFixture[str]) -> None:
    uses["nigrani.state"] = Use("nigrani.state", Found(6, 3, 2, {}), 6, 7, None)
    assert listed(capsys, 1)[3].split()[:4] == ["nigrani.state", "6", "3", "2"]
    del uses["nigrani.state"]
    assert listed(capsys, 1)[3].split() == ["nigrani.state", *"––––––"]
