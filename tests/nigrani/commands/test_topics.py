from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from nigrani.commands.topics import configured, declare
from nigrani.service.errors import BadConfig, Usage


def options(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    declare(parser)
    return parser.parse_args(words)


def test_the_cluster_of_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "detector.yaml"
    path.write_text("kafka: {servers: [a:1], topic: x.events}")
    topics = configured(options("--config", str(path), "--set", "kafka.group=g"))
    assert (topics.servers, topics.topic, topics.group) == (("a:1",), "x.events", "g")


def test_without_brokers_there_is_nothing_to_look_at() -> None:
    with pytest.raises(Usage, match="no brokers are configured"):
        configured(options())


def test_a_bad_setting_is_told() -> None:
    with pytest.raises(BadConfig, match=r"kafka\.topic 'a b' is no topic's name"):
        configured(options("--set", "kafka.servers=[a:1]", "--set", "kafka.topic=a b"))
