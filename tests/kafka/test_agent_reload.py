"""A running agent is told to send elsewhere: every event is in the one topic or the other, in order, and none is missing."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from uuid import uuid4

from bench.kafka.broker import Server, make_topic
from nigrani.stream.kafka.log import TopicLog
from nigrani.stream.kafka.settings import Connection
from tests.e2e.test_reload import LINE, Agent, until


def sequences(broker: Server, topic: str) -> list[int]:
    log = TopicLog(Connection(servers=(broker.servers,)), topic)
    try:
        lines = [line for message in log.read(0) for line in message.value.splitlines()]
    finally:
        log.close()
    return [int(line.partition(b'"event.sequence":')[2].split(b",")[0].rstrip(b"}")) for line in lines]


def acknowledged(agent: Agent, least: int) -> bool:
    return agent.metric("nigrani_agent_forward_acknowledged_events_total") >= least


def test_events_go_to_the_new_topic_from_the_first_that_the_old_one_did_not_get(broker: Server, tmp_path: Path) -> None:
    topics = [make_topic(broker.servers, f"reload-{uuid4().hex}") for _ in range(2)]
    kafka = {"servers": [broker.servers], "topic": topics[0]}
    with Agent(tmp_path, kafka=kafka) as agent:
        agent.hear(b"READY=1")
        for turn, topic in enumerate((*topics, topics[0])):
            if turn:
                agent.write(kafka={**kafka, "topic": topic})
                assert agent.reload() == "applied"
            with agent.log.open("a") as file:
                file.writelines(LINE.format(1_700_000_000 + n, turn, n) for n in range(200))
            least = 200 * (turn + 1)
            until(partial(acknowledged, agent, least), "acknowledged")
        events = agent.stop()
    first, second = (sequences(broker, topic) for topic in topics)
    assert sorted({*first, *second}) == [event.sequence for event in events]
    assert second == sorted(second)
    assert 150 <= len(second) <= 250
