"""The client libraries in bare loops: `python -m bench.transport.clients TASK SERVERS TOPIC …`; counts as JSON.

Nothing of nigrani is loaded. Producers are set as an agent's is: acks=all, idempotent, zstd, the same linger and batches.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

LINGER_MS = 50
BATCH_BYTES = 256 << 10
PATIENCE = 20.0
"""Seconds without a message after which a consumer gives up."""


def keyed(path: str) -> Iterator[tuple[bytes, bytes]]:
    """Key and value of each line of a file: the key is given, nobody has to look for it in the event."""
    with Path(path).open("rb") as file:
        for line in file:
            key, _, value = line.rstrip().partition(b"\t")
            yield key, value


def kafka_python_produce(servers: str, topic: str, path: str) -> int:
    """Send each line, then wait for all of them."""
    from kafka import KafkaProducer  # noqa: PLC0415 - a process loads what it measures, and nothing else

    failures: list[BaseException] = []
    producer = KafkaProducer(
        bootstrap_servers=servers,
        acks="all",
        enable_idempotence=True,
        compression_type="zstd",
        linger_ms=LINGER_MS,
        batch_size=BATCH_BYTES,
    )
    count = 0
    for key, value in keyed(path):
        producer.send(topic, value, key).add_errback(failures.append)
        count += 1
    producer.flush()
    producer.close()
    return count - len(failures)


def confluent_produce(servers: str, topic: str, path: str) -> int:
    """As above."""
    from confluent_kafka import Producer  # noqa: PLC0415 - as above

    producer = Producer(
        {
            "bootstrap.servers": servers,
            "acks": "all",
            "enable.idempotence": True,
            "compression.type": "zstd",
            "linger.ms": LINGER_MS,
            "batch.size": BATCH_BYTES,
        }
    )
    acknowledged = 0

    def report(error: object, _: object) -> None:
        nonlocal acknowledged
        acknowledged += error is None

    for key, value in keyed(path):
        while True:
            try:
                producer.produce(topic, value, key, on_delivery=report)
                break
            except BufferError:
                producer.poll(0.05)
        producer.poll(0)
    producer.flush()
    return acknowledged


def kafka_python_consume(servers: str, topic: str, wanted: str, codec: str) -> int:
    """Decode the value of each message; of no group."""
    from kafka import KafkaConsumer  # noqa: PLC0415 - as above

    decode = decoder(codec)
    consumer = KafkaConsumer(
        topic, bootstrap_servers=servers, group_id=None, auto_offset_reset="earliest", max_poll_records=4096
    )
    count, heard = 0, time.monotonic()
    while count < int(wanted) and time.monotonic() - heard < PATIENCE:
        for records in consumer.poll(timeout_ms=500).values():
            for record in records:
                decode(record.value)
            count += len(records)
            heard = time.monotonic()
    consumer.close()
    return count


def confluent_consume(servers: str, topic: str, wanted: str, codec: str) -> int:
    """As above."""
    from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition  # noqa: PLC0415 - as above

    decode = decoder(codec)
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "none", "enable.auto.commit": False})
    partitions = consumer.list_topics(topic, timeout=PATIENCE).topics[topic].partitions
    consumer.assign([TopicPartition(topic, one, OFFSET_BEGINNING) for one in partitions])
    count, heard = 0, time.monotonic()
    while count < int(wanted) and time.monotonic() - heard < PATIENCE:
        messages = consumer.consume(4096, timeout=0.1)
        for message in messages:
            decode(message.value())
        if messages:
            count += len(messages)
            heard = time.monotonic()
    consumer.close()
    return count


def decoder(codec: str) -> Callable[[bytes], Any]:
    """`json` of the standard library, or `msgspec`; both to dictionaries."""
    if codec == "json":
        return json.loads
    import msgspec  # noqa: PLC0415 - as above

    return msgspec.json.Decoder().decode


TASKS: dict[str, Callable[..., int]] = {
    "kafka-python-produce": kafka_python_produce,
    "confluent-produce": confluent_produce,
    "kafka-python-consume": kafka_python_consume,
    "confluent-consume": confluent_consume,
}

if __name__ == "__main__":
    print(json.dumps({"events": TASKS[sys.argv[1]](*sys.argv[2:])}))
