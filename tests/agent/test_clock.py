from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator

import pytest

from agent import clock as module
from agent import ntp
from agent.clock import ClockWatch
from agent.config import Clock
from nigrani.service.exposition import exposition
from tests.agent.test_ntp import TimeServer, reply


@pytest.fixture(autouse=True)
def prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST", 0.0)
    monkeypatch.setattr(ntp, "SECONDS", 0.1)


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the clock differs by from the time since the start; a test sets it."""
    found = [1_000.0]
    monkeypatch.setattr(module, "_apart", lambda: found[0])
    return found


@pytest.fixture
def replies() -> list[Callable[[bytes], list[bytes]]]:
    """The last is how the server answers now."""
    return [lambda packet: [reply(packet, time.time() + 42)]]


@pytest.fixture
def server(replies: list[Callable[[bytes], list[bytes]]]) -> Iterator[TimeServer]:
    server = TimeServer(lambda packet: replies[-1](packet))  # noqa: PLW0108 - a test changes the last
    yield server
    server.close()


def metrics(watch: ClockWatch) -> dict[str, float]:
    lines = [line for line in exposition(watch).decode().splitlines() if not line.startswith("#")]
    return {
        name.removeprefix("nigrani_agent_clock_"): float(value) for name, value in (line.rsplit(" ", 1) for line in lines)
    }


def asked(watch: ClockWatch) -> None:
    """One question, from the watch's own schedule, to its end."""
    watch._due = time.monotonic()
    watch.look()
    assert watch._thread is not None
    watch._thread.join(5)


def test_nobody_is_asked_unless_a_server_is_named() -> None:
    watch = ClockWatch(Clock())
    for _ in range(3):
        watch.look()
    assert watch._thread is None
    assert exposition(watch) == b""
    assert watch.steps == 0


def test_a_server_is_asked_at_once_and_then_seldom(server: TimeServer) -> None:
    watch = ClockWatch(Clock(f"127.0.0.1:{server.port}"))
    assert metrics(watch) == {f'failures_total{{reason="{reason}"}}': 0 for reason in module.FAILURES}
    began = time.monotonic()
    watch.look()
    assert time.monotonic() - began < 0.1
    while watch.answer is None:
        assert time.monotonic() - began < 5
        watch.look()
    found = metrics(watch)
    assert found["offset_seconds"] == pytest.approx(42, abs=0.5)
    assert found["last_answer_timestamp_seconds"] == pytest.approx(time.time(), abs=5)
    assert found["delay_seconds"] < 0.5
    assert len(server.asked) == 1
    assert 0.9 * 960 <= watch._due - began <= 1.1 * 960 + 5


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"stratum": 0, "reference": b"RATE"}, "refused"), ({"stratum": 16}, "invalid"), (None, "no_answer")],
)
def test_a_failure_is_counted_told_once_and_waited_out(
    server: TimeServer,
    replies: list[Callable[[bytes], list[bytes]]],
    caplog: pytest.LogCaptureFixture,
    changes: dict[str, int] | None,
    reason: str,
) -> None:
    replies.append(lambda packet: [] if changes is None else [reply(packet, time.time(), **changes)])  # type: ignore[arg-type]
    watch = ClockWatch(Clock(f"127.0.0.1:{server.port}"))
    for _ in range(6):
        asked(watch)
    assert watch.failures == {**dict.fromkeys(module.FAILURES, 0), reason: 6}
    assert watch.answer is None
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert watch._due - time.monotonic() > 0.9 * 16 * 960 - 5
    replies.append(lambda packet: [reply(packet, time.time())])
    asked(watch)
    assert watch.answer is not None
    asked(watch)
    assert watch._due - time.monotonic() < 1.1 * 960


def test_a_name_that_nobody_has(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = ClockWatch(Clock("ntp.invalid"))
    asked(watch)
    assert watch.failures["unresolved"] == 1


def test_a_server_that_denies_is_not_asked_again(server: TimeServer, replies: list[Callable[[bytes], list[bytes]]]) -> None:
    replies.append(lambda packet: [reply(packet, time.time(), stratum=0, reference=b"DENY")])
    watch = ClockWatch(Clock(f"127.0.0.1:{server.port}"))
    asked(watch)
    assert watch._due == float("inf")
    watch.change(Clock(f"127.0.0.1:{server.port}", 5))
    assert watch._due <= time.monotonic()


def test_a_clock_that_is_set_is_counted_and_told(apart: list[float], caplog: pytest.LogCaptureFixture) -> None:
    watch = ClockWatch(Clock())
    for moved in (0.0, 0.9, -0.9, 0.0005):
        apart[0] += moved
        watch.look()
    assert watch.steps == 0
    for moved in (3600.0, -3600.0, 1.0):
        apart[0] += moved
        watch.look()
        watch.look()
    assert watch.steps == 3
    assert [record.message for record in caplog.records] == ["the clock was set forward by 3600.0 s"]


def test_after_that_the_old_offset_says_nothing(apart: list[float], server: TimeServer) -> None:
    watch = ClockWatch(Clock(f"127.0.0.1:{server.port}"))
    asked(watch)
    assert watch.answer is not None
    apart[0] -= 3600
    watch.look()
    assert watch.answer is None
    assert 0 < watch._due - time.monotonic() <= module.LEAST


def test_an_answer_about_the_clock_before_it_was_set_is_forgotten(
    apart: list[float], server: TimeServer, replies: list[Callable[[bytes], list[bytes]]]
) -> None:
    watch = ClockWatch(Clock(f"127.0.0.1:{server.port}"))

    def meanwhile(packet: bytes) -> list[bytes]:
        apart[0] += 100
        watch.look()
        return [reply(packet, time.time())]

    replies.append(meanwhile)
    asked(watch)
    assert (watch.steps, watch.answer, sum(watch.failures.values())) == (1, None, 0)


def test_the_real_clock_is_not_set_by_itself() -> None:
    watch = ClockWatch(Clock())
    for _ in range(50):
        watch.look()
        time.sleep(0.002)
    assert watch.steps == 0


@pytest.mark.parametrize("server", ["ntp.example:0", "ntp.example:70000", "2001:db8::1", "a b", "[::1", "x" * 300, "é"])
def test_what_is_no_server(server: str) -> None:
    with pytest.raises(ValueError, match="is no server, such as"):
        Clock(server)


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("ntp.hospital.example", ("ntp.hospital.example", 123)),
        ("10.1.1.1:1123", ("10.1.1.1", 1123)),
        ("[::1]:9", ("::1", 9)),
    ],
)
def test_a_server_has_a_port(text: str, server: tuple[str, int]) -> None:
    assert Clock(text).server == server
    with pytest.raises(ValueError, match="minutes: 1 is not within"):
        Clock(text, 1)
