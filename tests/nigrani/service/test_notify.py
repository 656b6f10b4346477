from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from nigrani.service.notify import notify


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.settimeout(5)
        yield receiver


def test_systemd_is_told(listener: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "notify")
    listener.bind(path)
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    notify("READY=1", "STATUS=watching eth0")
    notify("WATCHDOG=1")
    assert [listener.recv(4096), listener.recv(4096)] == [b"READY=1\nSTATUS=watching eth0", b"WATCHDOG=1"]


def test_an_abstract_socket(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"nigrani-test-{os.getpid()}"
    listener.bind(f"\0{name}")
    monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
    notify("STOPPING=1")
    assert listener.recv(4096) == b"STOPPING=1"


@pytest.mark.parametrize("path", ["", "/nonexistent/notify", "/" + "x" * 500, "@" + "x" * 500])
def test_nobody_listens(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    notify("READY=1")


def test_no_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify("READY=1")
