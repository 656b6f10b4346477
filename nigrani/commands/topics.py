"""What the verbs of the Kafka topics have in common."""

from __future__ import annotations

import argparse
from pathlib import Path

from detector.config import DetectorConfig
from nigrani.service.config import load
from nigrani.service.errors import Usage
from nigrani.stream.kafka.settings import Topics


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare where the cluster is configured."""
    parser.add_argument("--config", metavar="FILE", type=Path, help="detector.yaml")
    parser.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="override one setting")


def configured(options: argparse.Namespace) -> Topics:
    """The cluster and its topics. Raises Usage where none is configured."""
    topics = load(DetectorConfig, options.config, options.set).kafka
    if not topics.servers:
        raise Usage("no brokers are configured: name them with --config, or with --set 'kafka.servers=[host:port]'")
    return topics
