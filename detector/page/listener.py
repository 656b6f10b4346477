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
from collections import deque

from detector.page.metrics import Tally
from nigrani.service.errors import Problem

MAX_CONNECTIONS = 64
"""Beyond it the oldest goes: whoever says nothing keeps nobody out."""
SECONDS = 60.0
"""From a connection's begin to its end, at most; a browser makes another when it needs one."""


class Listener(socket.socket):
    """Ends the connections that it accepted when they are too many or too old."""

    def __init__(self, host: str, port: int, tally: Tally) -> None:
        """tally: where ends are counted. Raises Problem where it cannot listen."""
        self._tally = tally
        self._open: deque[tuple[float, weakref.ref[socket.socket]]] = deque()
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

    def accept(self) -> tuple[socket.socket, object]:
        """One connection more; the oldest ends where they are too many."""
        connection, address = super().accept()
        with self._guard:
            self._open.append((time.monotonic(), weakref.ref(connection)))
            self._forget()
            if len(self._open) > MAX_CONNECTIONS:
                self._tally["crowded"] += 1
                self._end()
        return connection, address

    def sweep(self) -> None:
        """End what is too old."""
        late = time.monotonic() - SECONDS
        with self._guard:
            self._forget()
            while self._open and self._open[0][0] <= late:
                self._tally["slow"] += 1
                self._end()

    def _forget(self) -> None:
        """Those that ended by themselves."""
        if any(not _alive(one()) for _, one in self._open):
            self._open = deque(item for item in self._open if _alive(item[1]()))

    def _end(self) -> None:
        connection = self._open.popleft()[1]()
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)  # its owner sees the end, and closes


def _alive(connection: socket.socket | None) -> bool:
    return connection is not None and connection.fileno() >= 0
