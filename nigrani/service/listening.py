"""A socket that waits for others."""

from __future__ import annotations

import socket


def listening(host: str, port: int, backlog: int, kind: int = socket.SOCK_STREAM) -> socket.socket:
    """A socket bound there, which blocks nobody; a stream's listens. Raises OSError."""
    found = socket.getaddrinfo(host.encode(), port, type=kind, flags=socket.AI_PASSIVE)  # as bytes: no IDNA tables
    family, _, _, _, address = found[0]
    listener = socket.socket(family, kind | socket.SOCK_NONBLOCK)
    try:
        if kind == socket.SOCK_STREAM:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        if kind == socket.SOCK_STREAM:
            listener.listen(backlog)
    except BaseException:
        listener.close()
        raise
    return listener
