"""Which rights there are; tests/kafka tries whether they are enough, and no more."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from kafka.errors import ClusterAuthorizationFailedError, SecurityDisabledError

from nigrani.stream.bus import BusError
from nigrani.stream.kafka.access import Right, apply, commands, rights
from nigrani.stream.kafka.settings import Topics

TOPICS = Topics(servers=("a:1", "b:2"))


def test_an_agent_writes_events_and_nothing_else() -> None:
    assert rights(TOPICS, ["pc-1"], []) == [
        Right("pc-1", "topic", "nigrani.events", "WRITE"),
        Right("pc-1", "topic", "nigrani.events", "DESCRIBE"),
    ]


def test_a_detector_does_not_write_events() -> None:
    wanted = rights(TOPICS, [], ["d"])
    assert {right.operation for right in wanted if right.name == "nigrani.events"} == {"READ", "DESCRIBE"}
    assert {right.operation for right in wanted if right.name == "nigrani.state"} == {"READ", "WRITE", "DESCRIBE"}
    assert [right for right in wanted if right.thing == "group"] == [Right("d", "group", "nigrani-detector", "READ")]


def test_commands_are_safe_to_paste() -> None:
    [told] = commands(rights(TOPICS, ["CN=pc 1,O=x; rm -rf /"], []), TOPICS.servers)
    assert told == (
        "kafka-acls.sh --bootstrap-server a:1,b:2 --command-config admin.properties --add "
        "--allow-principal 'User:CN=pc 1,O=x; rm -rf /' --topic nigrani.events --operation Write --operation Describe"
    )


class Admin:
    def __init__(self, faults: list[type[Exception]]) -> None:
        self.lists: list[Any] = []
        self.client = SimpleNamespace(create_acls=lambda lists: (self.lists.extend(lists), {"failed": faults})[1])

    def told(self) -> Any:
        return pytest.MonkeyPatch.context()


def test_rights_are_given() -> None:
    admin: Any = Admin([])
    apply(admin, rights(TOPICS, ["pc-1"], []))
    assert [(one.principal, one.operation.name, one.resource_pattern.resource_name) for one in admin.lists] == [
        ("User:pc-1", "WRITE", "nigrani.events"),
        ("User:pc-1", "DESCRIBE", "nigrani.events"),
    ]


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (ClusterAuthorizationFailedError, "1 rights were refused"),
        (SecurityDisabledError, "the brokers have no access control"),
    ],
)
def test_rights_that_are_refused(fault: type[Exception], told: str) -> None:
    admin: Any = Admin([fault])
    with pytest.raises(BusError, match=told):
        apply(admin, rights(TOPICS, ["pc-1"], []))
