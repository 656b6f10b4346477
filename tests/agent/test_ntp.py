from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import ntp
from agent.ntp import Answer, Kiss, answer, ask, question

TO_1970 = 2_208_988_800
NOW = 1_800_000_000.0


def timestamp(seconds: float) -> int:
    """NTP's, of seconds since 1970."""
    whole = int(seconds // 1)
    return ((whole + TO_1970) % (1 << 32) << 32) | int((seconds - whole) * (1 << 32))


def reply(
    asked: bytes,
    at: float,
    *,
    first: int = 0x24,
    stratum: int = 2,
    delay: float = 0.01,
    dispersion: float = 0.02,
    reference: bytes = b"GPS\0",
    originate: bytes | None = None,
    transmitted: float | None = None,
) -> bytes:
    """A server's answer, of its own time."""
    times = timestamp(at), timestamp(at if transmitted is None else transmitted)
    head = struct.pack("!BBbbII4sQ", first, stratum, 6, -20, int(delay * 65_536), int(dispersion * 65_536), reference, 0)
    return head + (asked[40:48] if originate is None else originate) + struct.pack("!QQ", *times)


class TimeServer:
    """A real server on loopback, whose clock is wrong as it likes, and whose answers are what a test makes of them."""

    def __init__(self, make: Callable[[bytes], list[bytes]]) -> None:
        self.asked: list[bytes] = []
        self._make = make
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                packet, address = self._socket.recvfrom(1024)
                if not packet:
                    return
                self.asked.append(packet)
                for one in self._make(packet):
                    self._socket.sendto(one, address)
            except OSError:
                return

    def close(self) -> None:
        """Leave; whoever asks then is told by the kernel that nobody is there."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as goodbye:
            goodbye.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join()
        self._socket.close()


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[bytes], list[bytes]]], TimeServer]]:
    servers: list[TimeServer] = []

    def made(make: Callable[[bytes], list[bytes]]) -> TimeServer:
        servers.append(TimeServer(make))
        return servers[-1]

    yield made
    for server in servers:
        server.close()


@pytest.mark.parametrize("wrong", [0.0, 3600.0, -86_400.0, 0.25])
def test_a_server_says_how_wrong_our_clock_is(serve: Callable[..., TimeServer], wrong: float) -> None:
    server = serve(lambda packet: [reply(packet, time.time() + wrong)])
    found = ask("127.0.0.1", server.port)
    assert found.offset == pytest.approx(wrong, abs=0.5)
    assert 0 <= found.delay < 0.5
    (packet,) = server.asked
    assert (len(packet), packet[0], packet[1:40]) == (48, 0x23, bytes(39)), "nothing of ours but random bits"


def test_each_question_has_other_bits(serve: Callable[..., TimeServer]) -> None:
    server = serve(lambda packet: [reply(packet, time.time())])
    for _ in range(3):
        ask("127.0.0.1", server.port)
    assert len({packet[40:] for packet in server.asked}) == 3


def test_nobody_answers(serve: Callable[..., TimeServer], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ntp, "SECONDS", 0.1)
    silent = serve(lambda packet: [])
    with pytest.raises(TimeoutError):
        ask("127.0.0.1", silent.port)
    silent.close()
    with pytest.raises(ConnectionRefusedError):
        ask("127.0.0.1", silent.port)


def test_what_others_send_is_not_heard(serve: Callable[..., TimeServer], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ntp, "SECONDS", 0.2)
    other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def elsewhere(packet: bytes) -> list[bytes]:
        other.sendto(reply(packet, time.time() + 9), ("127.0.0.1", asker[0]))
        return []

    asker: list[int] = []
    server = serve(elsewhere)
    real = socket.socket.connect

    def connect(self: socket.socket, address: tuple[str, int]) -> None:
        real(self, address)
        asker.append(self.getsockname()[1])

    monkeypatch.setattr(socket.socket, "connect", connect)
    with other, pytest.raises(TimeoutError):
        ask("127.0.0.1", server.port)
    assert server.asked


def test_offset_and_delay_are_the_standards() -> None:
    asked = question(7)
    packet = reply(asked, NOW + 10.0, transmitted=NOW + 10.1)
    assert answer(packet, 7, NOW, NOW + 0.5) == (pytest.approx(9.8), pytest.approx(0.4))


def test_the_years_after_2036() -> None:
    later = float((1 << 32) - TO_1970 + 100)
    assert answer(reply(question(7), later), 7, later, later) == Answer(0.0, 0.0)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"first": 0x23}, "not a server's answer"),
        ({"first": 0x25}, "not a server's answer"),
        ({"first": 0x14}, "not a server's answer"),
        ({"first": 0xE4}, "not synchronized"),
        ({"stratum": 16}, "not synchronized"),
        ({"stratum": 255}, "not synchronized"),
        ({"originate": bytes(8)}, "another question"),
        ({"originate": bytes(8), "stratum": 0}, "another question"),
        ({"delay": 4.0}, "too far from its own source"),
        ({"dispersion": 1.6}, "too far from its own source"),
        ({"transmitted": NOW - 1}, "contradict each other"),
        ({"transmitted": NOW + 5}, "contradict each other"),
        ({"transmitted": -TO_1970}, "too far from its own source"),
    ],
)
def test_what_is_not_believed(changes: dict[str, float], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        answer(reply(question(7), NOW, **changes), 7, NOW, NOW + 0.1)  # type: ignore[arg-type]


def test_a_server_may_decline() -> None:
    with pytest.raises(Kiss, match="the server declines: RATE") as kiss:
        answer(reply(question(7), NOW, stratum=0, reference=b"RATE"), 7, NOW, NOW)
    assert kiss.value.code == "RATE"
    with pytest.raises(Kiss, match="no reason given"):
        answer(reply(question(7), NOW, stratum=0, reference=b"\n\x1b\xff\0"), 7, NOW, NOW)


@given(
    st.binary(max_size=100)
    | st.binary(min_size=48, max_size=48).map(lambda junk: b"\x24\x02" + junk[2:24] + question(7)[40:] + junk[32:])
)
def test_any_bytes_are_an_answer_or_refused(packet: bytes) -> None:
    try:
        found = answer(packet, 7, NOW, NOW + 1)
    except ValueError:
        return
    assert abs(found.offset) < 1 << 33
    assert 0 <= found.delay <= 1
