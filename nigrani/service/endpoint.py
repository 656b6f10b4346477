"""The Prometheus endpoint of a service: one thread, few connections at a time, and little time for each.

prometheus_client's own server makes TLS handshakes in the thread that accepts, so that one silent client keeps all
others out, and has a thread for each connection, however many there are.
"""

from __future__ import annotations

import contextlib
import logging
import selectors
import socket
import threading
import time
from collections.abc import Callable, Generator
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from nigrani.service.errors import Problem
from nigrani.service.exposition import CONTENT_TYPE, Collector, Family, Registry, exposition
from nigrani.service.key import state_folder
from nigrani.service.listening import listening
from nigrani.service.process import Process

if TYPE_CHECKING:
    from nigrani.service.metrics import MetricsSettings

MAX_CONNECTIONS = 16
"""Beyond it the oldest goes: whoever says nothing keeps nobody out."""
SECONDS = 10.0
"""From a connection's begin to its end, at most."""
PACE = 0.02
"""Seconds between two connections, at least: what they cost is bounded, however many come."""
MAX_REQUEST = 8192
REPEAT = 3600.0
"""Seconds between two lines of the log about refused clients."""
ENDS = ("answered", "refused", "gone", "slow", "crowded")
"""How a connection ends: `refused` by TLS or for its request, `slow` out of time, `crowded` out for a newer one."""
END_IN_TLS = "UNEXPECTED_EOF_WHILE_READING"
READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE

log = logging.getLogger(__name__)

_T = TypeVar("_T")
_Talk = Generator[int, None, _T]
"""Yields what it waits for, of its connection."""


class Refused(Exception):  # noqa: N818 - how a connection ends, no fault of ours
    """What a client sent is no request for metrics."""


class Endpoint:
    """A running exposition of some collector's metrics, of its own and of the process."""

    def __init__(self, collector: Collector, settings: MetricsSettings) -> None:
        """Raises Problem where it cannot listen, or has no certificate."""
        self.ends = dict.fromkeys(ENDS, 0)
        self._registry = Registry()
        self._registry.register(collector)
        self._registry.register(Connections(self.ends))
        self._registry.register(Process(state_folder()))
        self._wrap: Callable[[socket.socket], socket.socket] = lambda plain: plain
        self._waits: dict[type[OSError], int] = {BlockingIOError: 0}
        tls = settings.tls
        if tls.certificate is not None and tls.key is not None:
            from nigrani.service.tls import WAITS, ServerTls  # noqa: PLC0415 - 4 MB, where nothing else has TLS

            self._wrap = ServerTls(tls.certificate, tls.key, tls.ca).wrap
            self._waits |= WAITS
        self._listener = _listen(settings)
        self.port: int = self._listener.getsockname()[1]
        scheme = "http" if tls.certificate is None else "https"
        self.url = f"{scheme}://{settings.listen.rpartition(':')[0]}:{self.port}/metrics"
        self._open: dict[socket.socket, tuple[float, _Talk[None]]] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, READ)
        self._accepted = self._told = -REPEAT
        self._closing = False
        self._thread = threading.Thread(target=self._serve, name="metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._closing = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread
        self._thread.join()
        for connection in list(self._open):
            self._end(connection, "gone")
        self._selector.close()
        self._listener.close()

    def _serve(self) -> None:
        while not self._closing:
            try:
                self._turn()
            except Exception:  # the thread's outer loop
                log.exception("a turn of the metrics endpoint failed")
                time.sleep(1)

    def _turn(self) -> None:
        begun = min((begun for begun, _ in self._open.values()), default=None)
        wait = None if begun is None else max(begun + SECONDS - time.monotonic(), 0)
        for key, _ in self._selector.select(wait):
            if self._closing:
                return
            if key.fileobj is self._listener:
                self._accept()
            elif key.fileobj in self._open:  # not crowded out in this very turn
                self._go_on(key.fileobj)
        late = time.monotonic() - SECONDS
        for connection in [connection for connection, (begun, _) in self._open.items() if begun <= late]:
            self._end(connection, "slow")

    def _accept(self) -> None:
        time.sleep(min(max(self._accepted + PACE - time.monotonic(), 0), PACE))
        self._accepted = time.monotonic()
        try:
            plain, _ = self._listener.accept()
        except BlockingIOError:
            return
        except OSError as error:  # out of files, say
            if not self._closing:
                self._tell(str(error))
                time.sleep(1)
            return
        if len(self._open) >= MAX_CONNECTIONS:
            self._end(min(self._open, key=lambda connection: self._open[connection][0]), "crowded")
        plain.setblocking(False)
        try:
            connection = self._wrap(plain)
        except (OSError, ValueError):
            plain.close()
            self.ends["gone"] += 1
            return
        self._open[connection] = self._accepted, self._talk(connection)
        self._selector.register(connection, READ)
        self._go_on(connection)

    def _go_on(self, connection: socket.socket) -> None:
        """As far as the client lets us."""
        try:
            self._selector.modify(connection, next(self._open[connection][1]))
        except StopIteration:
            self._end(connection, "answered")
        except (Refused, OSError) as error:
            reason = str(error) if isinstance(error, Refused) else getattr(error, "reason", None)  # TLS's own
            if not reason or reason == END_IN_TLS:
                self._end(connection, "gone")
            else:
                self._tell(reason)
                self._end(connection, "refused")

    def _end(self, connection: socket.socket, how: str) -> None:
        self.ends[how] += 1
        del self._open[connection]
        self._selector.unregister(connection)
        connection.close()

    def _talk(self, connection: socket.socket) -> _Talk[None]:
        """One request, one answer. Raises Refused after an answer that is none, OSError where the client is gone."""
        handshake = getattr(connection, "do_handshake", None)
        if handshake is not None:
            yield from self._patiently(handshake, READ)
        request = b""
        while b"\r\n\r\n" not in request:
            received = yield from self._patiently(partial(connection.recv, MAX_REQUEST), READ)
            request += received
            if not received:
                raise ConnectionResetError
            if len(request) > MAX_REQUEST:
                break
        status, answer = self._answer(request)
        while answer:
            sent = yield from self._patiently(partial(connection.send, answer), WRITE)
            answer = answer[sent:]
        if handshake is not None:
            with contextlib.suppress(OSError, ValueError):  # goodbye, without waiting for theirs
                connection.unwrap()  # type: ignore[attr-defined]
        if not status.startswith("200"):
            raise Refused(status)

    def _patiently(self, act: Callable[[], _T], events: int) -> _Talk[_T]:
        while True:
            try:
                return act()
            except tuple(self._waits) as error:
                yield self._waits[type(error)] or events

    def _answer(self, request: bytes) -> tuple[str, bytes]:
        status = _status(request)
        text = f"{status}\n".encode()
        if status == "200 OK":
            try:
                text = exposition(self._registry)
            except Exception:  # a collector's fault is told, and ends nothing
                log.exception("metrics cannot be collected")
                status = "500 Internal Server Error"
        head = (
            f"HTTP/1.1 {status}\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n"
        )
        return status, head.encode() + (b"" if request.startswith(b"HEAD ") else text)

    def _tell(self, why: str) -> None:
        if time.monotonic() - self._told >= REPEAT:
            self._told = time.monotonic()
            log.warning("metrics: a client was refused: %s", why)


class Connections:
    """The endpoint's own metric."""

    def __init__(self, ends: dict[str, int]) -> None:
        self._ends = ends

    def collect(self) -> list[Family]:
        """One series for each end."""
        family = Family("counter", "nigrani_metrics_connections", "Connections to the metrics endpoint, by how they ended.")
        for end, count in self._ends.items():
            family.add(count, end=end)
        return [family]


def _listen(settings: MetricsSettings) -> socket.socket:
    try:
        return listening(settings.host, settings.port, MAX_CONNECTIONS)
    except OSError as error:
        raise Problem(
            f"cannot serve metrics on {settings.listen}: {error.strerror or error}; free the port or set metrics.listen"
        ) from None


def _status(request: bytes) -> str:
    """What a request deserves."""
    if b"\r\n\r\n" not in request:
        return "431 Request Header Fields Too Large"
    words = request.partition(b"\r\n")[0].split(b" ")
    if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
        return "400 Bad Request"
    if words[0] not in (b"GET", b"HEAD"):
        return "405 Method Not Allowed"
    return "200 OK" if words[1].partition(b"?")[0] == b"/metrics" else "404 Not Found"
