"""The page's listening socket: few connections at a time, and none for ever.

The HTTP server under us waits without end for a client that says nothing, in its TLS handshake as in its request. So
connections are counted and timed where they are accepted, before anything reads from them.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
import weakref
from collections import Counter
from typing import Any, NamedTuple

from detector.page.metrics import Tally
from detector.page.throttle import neighbourhood
from nigrani.service.errors import Problem

MAX_CONNECTIONS = 64
"""Beyond it the oldest goes, of whoever has the most: one host that opens many keeps no other out."""
SECONDS = 60.0
"""From a connection's begin to its end, at most; a browser makes another when it needs one."""


class _Connection(NamedTuple):
    since: float
    origin: str
    socket: weakref.ref[socket.socket]


class Listener(socket.socket):
    """Ends the connections that it accepted when they are too many or too old."""

    def __init__(self, host: str, port: int, tally: Tally) -> None:
        """tally: where ends are counted. Raises Problem where it cannot listen."""
        self._tally = tally
        self._open: list[_Connection] = []
        self._guard = threading.Lock()
        try:
            family, kind, _, _, address = socket.getaddrinfo(
                host.encode(), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            super().__init__(family, kind)
            try:
                self.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                self.bind(address)
                self.listen(MAX_CONNECTIONS)
            except OSError:
                self.close()
                raise
        except OSError as error:
            raise Problem(f"cannot serve the page on {host}:{port}: {error.strerror or error}") from None

    def accept(self) -> tuple[socket.socket, Any]:
        """One connection more, and one less where they are too many."""
        connection, address = super().accept()
        with self._guard:
            self._open.append(_Connection(time.monotonic(), neighbourhood(address[0]), weakref.ref(connection)))
            self._forget()
            if len(self._open) > MAX_CONNECTIONS:
                self._tally["crowded"] += 1
                busiest, _ = Counter(one.origin for one in self._open).most_common(1)[0]
                self._end(next(one for one in self._open if one.origin == busiest))
        return connection, address

    def sweep(self) -> None:
        """End what is too old."""
        late = time.monotonic() - SECONDS
        with self._guard:
            self._forget()
            while self._open and self._open[0].since <= late:
                self._tally["slow"] += 1
                self._end(self._open[0])

    def _forget(self) -> None:
        """Those that ended by themselves."""
        self._open = [one for one in self._open if _alive(one.socket())]

    def _end(self, one: _Connection) -> None:
        self._open.remove(one)
        connection = one.socket()
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)  # its owner sees the end, and closes


def _alive(connection: socket.socket | None) -> bool:
    return connection is not None and connection.fileno() >= 0
