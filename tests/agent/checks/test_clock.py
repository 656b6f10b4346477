from __future__ import annotations

import socket
import struct
import threading
import time
from pathlib import Path

from agent.checks.clock import compared, synchronised, tasks
from tests.agent.checks.subjects import levels, subject


def test_the_kernel_is_asked() -> None:
    assert all(finding.level in {"ok", "warn"} for finding in synchronised())


def test_offline_nobody_else_is(tmp_path: Path) -> None:
    it = subject(tmp_path, "clock: {ntp: ntp.invalid}")
    assert [task.about for task in tasks(it, offline=True)] == ["clock"]
    assert [task.about for task in tasks(it, offline=False)] == ["clock", "time server"]


def serve(server: socket.socket, ahead: float) -> None:
    question, asker = server.recvfrom(1024)
    now = int((time.time() + ahead + 2_208_988_800) * (1 << 32)) & (1 << 64) - 1
    nonce = struct.unpack_from("!Q", question, 40)[0]
    server.sendto(struct.pack("!BBbbII4sQQQQ", 4 << 3 | 4, 2, 6, -20, 0, 0, b"GPS\0", now, nonce, now, now), asker)


def test_a_time_server_says_how_far_we_are_off(tmp_path: Path) -> None:
    for ahead, level in ((0.0, "ok"), (30.0, "warn")):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.bind(("127.0.0.1", 0))
            thread = threading.Thread(target=serve, args=(server, ahead))
            thread.start()
            (found,) = compared(subject(tmp_path, f"clock: {{ntp: '127.0.0.1:{server.getsockname()[1]}'}}"))
            thread.join()
        assert found.level == level, found
    assert "this host is -30." in found.message or "this host is -29." in found.message


def test_a_server_that_does_not_answer_is_a_warning(tmp_path: Path) -> None:
    assert levels(list(compared(subject(tmp_path, "clock: {ntp: '127.0.0.1:1'}")))) == ["warn"]
