"""What all our clients of kafka-python share: how they connect, and what became of it.

kafka-python retries for ever and tells why only in its log; at the caller a wrong password and a dead broker are both a
timeout. A `Dial` stands where its clients connect, and remembers.
"""

from __future__ import annotations

import logging
import socket
from typing import Any

from kafka import KafkaAdminClient, KafkaProducer
from kafka.errors import RetriableError, TopicAuthorizationFailedError, UnknownTopicOrPartitionError
from kafka.net.compat import KafkaNetClient
from kafka.net.inet import KafkaNetSocket

from nigrani.stream.bus import BusError
from nigrani.stream.kafka.fault import Trouble, diagnose
from nigrani.stream.kafka.settings import Connection, options

NEWEST = (4, 0)
"""The release that is spoken to brokers that speak it. Told to a client, it is made at once, and connects when it must."""
RECONNECT_MS = 2000
CONNECT_MS = 5000
ANSWER_MS = 20_000


class Dial:
    """Connects one client, and remembers why its last connection came to nothing."""

    def __init__(self, connection: Connection, name: str) -> None:
        """name: the client's name to the brokers."""
        self.fault: BaseException | None = None
        """None once a connection stands."""
        self._cluster: Any = None
        self._connection = connection
        self._name = name
        logging.getLogger("kafka").setLevel(logging.CRITICAL)  # a retry is no news, and what is news we tell

    def settings(self) -> dict[str, Any]:
        """What the client is made with. Raises OSError where the password's file cannot be read."""
        return {
            **options(self._connection, self._name),
            "kafka_client": self,
            "api_version": NEWEST,
            "reconnect_backoff_max_ms": RECONNECT_MS,
            "metrics_enabled": False,
            "proxy_url": f"{_Direct.SCHEMES[0]}://",
        }

    def admin(self, connect_ms: int = CONNECT_MS, answer_ms: int = ANSWER_MS) -> KafkaAdminClient:
        """An administrator's client, which waits so long for the brokers. Raises KafkaError or OSError."""
        settings = self.settings()
        del settings["metrics_enabled"], settings["api_version"]
        return KafkaAdminClient(**settings, bootstrap_timeout_ms=connect_ms, request_timeout_ms=answer_ms)

    def __call__(self, **settings: Any) -> KafkaNetClient:
        """What the client calls to have its connections made."""
        client = KafkaNetClient(**settings)
        self._cluster = client.cluster
        client.cluster.config["allow_auto_create_topics"] = False  # the clients take this setting, and forget it
        manager = client._manager  # noqa: SLF001 - there is no other place to stand
        connect, build = manager.get_connection, manager._build_transport  # noqa: SLF001 - as above

        def get_connection(*arguments: Any, **named: Any) -> Any:
            connection = connect(*arguments, **named)
            connection.init_future.add_callback(self._stands)
            connection.init_future.add_errback(self._fell)
            return connection

        async def build_transport(*arguments: Any, **named: Any) -> Any:
            return _attentive(await build(*arguments, **named))

        manager.get_connection, manager._build_transport = get_connection, build_transport  # noqa: SLF001 - as above
        return client

    def brokers(self) -> int:
        """How many brokers the client knows."""
        return len(self._cluster.brokers()) if self._cluster is not None else 0

    def trouble(self, error: BaseException, topic: str) -> Trouble:
        """What an error of the client means, with what is remembered."""
        if isinstance(error, RetriableError) and error.__cause__ is None and (cause := self._cause(topic)) is not error:
            error.__cause__ = cause
        return diagnose(error, self._connection, f"topic {topic}")

    def error(self, error: BaseException, topic: str) -> BusError:
        """The same as an error of the bus."""
        return BusError(str(self.trouble(error, topic)))

    def _cause(self, topic: str) -> BaseException | None:
        """What may be behind a timeout."""
        cause: BaseException | None = self.fault
        if cause is None and self._cluster is not None and self._cluster.brokers():
            if topic in self._cluster.unauthorized_topics:
                cause = TopicAuthorizationFailedError(topic)
            elif not self._cluster.partitions_for_topic(topic):
                cause = UnknownTopicOrPartitionError(topic)
        return cause

    def _stands(self, _: object) -> None:
        self.fault = None

    def _fell(self, error: BaseException) -> None:
        self.fault = error.with_traceback(None)  # which would keep a socket


class _Direct(KafkaNetSocket):  # type: ignore[misc]
    """Sockets without a proxy that are closed when they do not connect; theirs stay open until they are garbage.

    A broker that is down for an hour would cost a file descriptor at each try. The scheme is how a client finds the class.
    """

    SCHEMES = ("nigrani",)

    async def sock_connect(self, net: Any, sock: socket.socket, sockaddr: Any, timeout_at: float | None = None) -> Any:
        """The connected socket. Raises as theirs."""
        try:
            return await super().sock_connect(net, sock, sockaddr, timeout_at=timeout_at)
        except BaseException:
            sock.close()
            raise


def _attentive(transport: Any) -> Any:
    """A transport that hears out a broker that answers and hangs up, as it does on a wrong password; theirs does not."""
    receive = transport._sock_recv  # noqa: SLF001 - as in `Dial`

    def sock_recv() -> tuple[bytes, BaseException | None]:
        data, error = receive()
        return data, None if data else error  # which comes again

    transport._sock_recv = sock_recv  # noqa: SLF001 - as in `Dial`
    return transport


class Producer(KafkaProducer):  # type: ignore[misc]
    """Closes at once: theirs flushes first, and where that cannot end, raises and leaves its thread sending."""

    def flush(self, timeout: float | None = None) -> None:
        """Nothing: whoever sends waits for what was sent."""
