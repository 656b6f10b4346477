"""A syslog listener: UDP (RFC 5426), TCP in both framings of RFC 6587, TLS with senders' certificates (RFC 5425).

Bounded in connections, in bytes held for each, in the time a connection may stay silent in the middle of a message, and
in the work of a turn. It never answers. A sender's message is told with its header's time; its origin is the address it
came from, which on UDP and TCP anybody can claim.
"""

from __future__ import annotations

import logging
import selectors
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable
from datetime import tzinfo
from pathlib import Path

from agent.logs.clock import now, zone_named
from agent.source import LIMIT, Piece, State
from agent.sources.frames import MAX_MESSAGE, Frames
from agent.sources.settings import Syslog
from agent.sources.syslog_header import read_header
from nigrani.service.errors import Problem
from nigrani.service.listening import listening

log = logging.getLogger(__name__)

PIECE = 65_536
TURN = 64
"""Reads in one turn at most; all connections have their turn."""
STALL = 60.0
"""Seconds within a message or a handshake without a byte, after which a connection is closed."""
BACKLOG = 64
COUNTERS = (
    "messages",
    "connections",
    "open",
    "refused",
    "failed_handshakes",
    "stalled",
    "long_lines",
    "unframed",
    "headless",
)


class _Connection:
    """One sender."""

    def __init__(self, stream: socket.socket, origin: str, when: float) -> None:
        self.stream = stream
        self.origin = origin
        self.frames = Frames()
        self.active = when
        self.greeting = isinstance(stream, ssl.SSLSocket)


class SyslogListener:
    """One listener."""

    def __init__(self, settings: Syslog, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises Problem where it cannot listen, or a certificate cannot be read."""
        self.counters = dict.fromkeys(COUNTERS, 0)
        self._settings = settings
        self._zone: tzinfo | None = zone_named(settings.zone)
        self._clock = clock
        self._tls = _context(*settings.files) if settings.transport == "tls" and settings.files else None
        self._selector = selectors.DefaultSelector()
        self._open: dict[socket.socket, _Connection] = {}
        self._ready: deque[Piece] = deque()
        """Messages not given out yet, of one turn at most."""
        self._socket = _listen(settings)
        self.port: int = self._socket.getsockname()[1]
        self._selector.register(self._socket, selectors.EVENT_READ)

    def fileno(self) -> int:
        """Readable when any of its sockets is."""
        return self._selector.fileno() if isinstance(self._selector, selectors.EpollSelector) else -1

    def read(self, timeout: float = 0.0, limit: int = LIMIT) -> list[Piece]:
        """See `Source`."""
        if not self._ready:
            self._hear_all(timeout)
        return [self._ready.popleft() for _ in range(min(limit, len(self._ready)))]

    def state(self) -> State:
        """Nothing: what a sender has sent is not sent again."""
        return {}

    def close(self) -> None:
        """Close every connection."""
        for connection in list(self._open.values()):
            self._end(connection)
        self._selector.close()
        self._socket.close()

    def _hear_all(self, timeout: float) -> None:
        for key, _ in self._selector.select(timeout)[:TURN]:
            if key.fileobj is not self._socket:
                self._ready += self._hear(key.data)
            elif self._settings.transport == "udp":
                self._ready += self._datagrams()
            else:
                self._accept()
        self._close_stalled()
        self.counters["open"] = len(self._open)

    def _datagrams(self) -> list[Piece]:
        pieces: list[Piece] = []
        for _ in range(TURN):
            try:
                data, sender = self._socket.recvfrom(MAX_MESSAGE + 1)
            except OSError:  # nothing more, or an ICMP error of something that was never sent
                break
            pieces += self._piece(data.rstrip(b"\r\n\0"), str(sender[0]))
        return pieces

    def _accept(self) -> None:
        try:
            stream, sender = self._socket.accept()
        except OSError:
            return
        if not self._room():
            self.counters["refused"] += 1
            stream.close()
            return
        stream.setblocking(False)
        try:
            if self._tls is not None:
                stream = self._tls.wrap_socket(stream, server_side=True, do_handshake_on_connect=False)
        except OSError:
            self.counters["failed_handshakes"] += 1
            stream.close()
            return
        self.counters["connections"] += 1
        self._open[stream] = connection = _Connection(stream, str(sender[0]), self._clock())
        self._selector.register(stream, selectors.EVENT_READ, connection)

    def _room(self) -> bool:
        """Whether there is room for one more; a connection long silent makes it."""
        if len(self._open) < self._settings.connections:
            return True
        silent = min(self._open.values(), key=lambda connection: connection.active)
        if self._clock() - silent.active < STALL:
            return False
        self.counters["stalled"] += 1
        self._end(silent)
        return True

    def _hear(self, connection: _Connection) -> list[Piece]:
        """The messages that came. What TLS has read of the socket is all taken: no selector tells of it."""
        connection.active = self._clock()
        pieces: list[Piece] = []
        try:
            if connection.greeting and isinstance(connection.stream, ssl.SSLSocket):
                connection.stream.do_handshake()
                connection.greeting = False
            while True:
                data = connection.stream.recv(PIECE)
                pieces += self._messages(connection, data)
                if not data or not (isinstance(connection.stream, ssl.SSLSocket) and connection.stream.pending()):
                    break
        except (ssl.SSLWantReadError, BlockingIOError):
            return pieces
        except OSError as error:  # ssl.SSLError is one, and one for a certificate is a ValueError too
            if connection.greeting:
                self.counters["failed_handshakes"] += 1
                log.info("a handshake failed: %s", error.strerror or error)  # not who: no address stands in the log
            self._end(connection)
        except ValueError:
            self.counters["unframed"] += 1
            self._end(connection)
        return pieces

    def _messages(self, connection: _Connection, data: bytes) -> list[Piece]:
        frames = connection.frames
        skipped = frames.skipped
        messages = frames.feed(data) if data else [frames.rest()]
        self.counters["long_lines"] += frames.skipped - skipped
        if not data:
            self._end(connection)
        return [piece for message in messages if message for piece in self._piece(message, connection.origin)]

    def _piece(self, message: bytes, origin: str) -> list[Piece]:
        if len(message) > MAX_MESSAGE:
            self.counters["long_lines"] += 1
            return []
        self.counters["messages"] += 1
        try:
            header = read_header(message, self._zone, now())
        except ValueError:
            self.counters["headless"] += 1
            return [Piece(message, None, origin)]
        return [Piece(message[header.start :], header.when, origin)]

    def _close_stalled(self) -> None:
        before = self._clock() - STALL
        for connection in list(self._open.values()):
            if connection.active < before and (connection.greeting or connection.frames.within):
                self.counters["stalled"] += 1
                self._end(connection)

    def _end(self, connection: _Connection) -> None:
        if self._open.pop(connection.stream, None) is not None:
            self._selector.unregister(connection.stream)
            connection.stream.close()


def _context(certificate: Path, key: Path, ca: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_cert_chain(certificate, key)
        context.load_verify_locations(ca)
    except OSError as error:
        raise Problem(f"syslog certificates: {error.strerror or error}; see certificate, key and ca") from None
    return context


def _listen(settings: Syslog) -> socket.socket:
    host, _, port = settings.listen.rpartition(":")
    kind = socket.SOCK_DGRAM if settings.transport == "udp" else socket.SOCK_STREAM
    try:
        return listening(host.strip("[]"), int(port), BACKLOG, kind)
    except OSError as error:
        reason = error.strerror or error
        raise Problem(f"cannot listen on {settings.listen}: {reason}; free the port or set listen") from None
