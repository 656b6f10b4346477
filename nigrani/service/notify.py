"""systemd's notification protocol (sd_notify(3)): ready, status, watchdog, reloading, stopping."""

from __future__ import annotations

import contextlib
import os
import socket
import time

PATIENCE = 1.0
"""Seconds that systemd may take to make room for a message: nothing that it does may hold up a capture for long."""


def notify(*states: str) -> None:
    """Tell systemd, where it listens; elsewhere nothing. A refused datagram is no reason to stop a service."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    address = f"\0{path[1:]}" if path.startswith("@") else path
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.settimeout(PATIENCE)
        sender.sendto("\n".join(states).encode(), address)


def reloading() -> None:
    """Say that the configuration is read anew, until the next READY=1; `Type=notify-reload` asks for the time."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
