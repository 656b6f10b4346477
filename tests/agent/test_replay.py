from __future__ import annotations

import json
from pathlib import Path

import pytest

from agent.capture import CHUNK
from agent.log import LogFile
from agent.pipeline import Pipeline
from agent.privacy import Privacy
from agent.replay import Replay, fingerprint, open_input
from nigrani.service.errors import Problem
from nigrani.stream.event import Event
from nigrani.stream.events import AiInference, NetworkFlow
from tests.agent.packets import SECOND, START, Frame, datagram, frame, pcap, pcapng, segment


class Kept:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def write(self, events: list[Event]) -> None:
        self.events += events

    def flush(self) -> None:
        pass


def replayed(*paths: Path) -> tuple[list[Event], dict[str, int], dict[str, int]]:
    sink = Kept()
    pipeline = Pipeline(Privacy(bytes(32), agent="probe", boot=fingerprint(paths)), sink, 4096, 64)
    replay = Replay([open_input(path) for path in paths], pipeline)
    replay.run()
    return sink.events, replay.faults, pipeline.meter.counters()


def put(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def lines(*seconds: float) -> bytes:
    return b"".join(
        json.dumps({"msec": START / SECOND + second, "client": "10.0.0.1", "uri": "/v2/models/m/infer"}).encode() + b"\n"
        for second in seconds
    )


def lone(count: int, every: float, begin: float = 0.0, port: int = 10_000) -> list[Frame]:
    """Flows of one packet each."""
    return [frame(datagram(("10.0.0.1", port + number), ("10.0.0.2", 9)), begin + number * every) for number in range(count)]


@pytest.mark.parametrize("form", [pcap, pcapng])
def test_files_are_read_in_the_order_of_their_time(tmp_path: Path, form: type) -> None:
    """A quiet hour fits one chunk, and its records still come out between the lines of the log."""
    capture = put(tmp_path / "capture", form(lone(120, 30)))
    log = put(tmp_path / "log", lines(*range(5, 3600, 30)))
    for paths in ((capture, log), (log, capture)):
        events, faults, _ = replayed(*paths)
        assert faults == {}
        assert len(events) == 240
        reached = 0.0
        for event in events:
            when = event.timestamp.timestamp()
            assert when > reached - 65
            reached = max(reached, when)
        logged = [event.timestamp for event in events if isinstance(event, AiInference)]
        assert logged == sorted(logged)


@pytest.mark.parametrize("form", [pcap, pcapng])
def test_captures_side_by_side_are_read_as_one(tmp_path: Path, form: type) -> None:
    """Two halves of one conversation in two files, and both longer than a chunk."""
    there = [frame(segment(1000 * number, 1000), number / 1000) for number in range(700)]
    back = [frame(segment(1000 * number, 1000, back=True), number / 1000 + 0.0005) for number in range(700)]
    together = replayed(put(tmp_path / "both", form(sorted(there + back))))[0]
    paths = [put(tmp_path / "there", form(there)), put(tmp_path / "back", form(back))]
    assert all(path.stat().st_size > 2 * CHUNK for path in paths)
    events, faults, counters = replayed(*paths)
    assert (faults, counters["packets"], counters["clock_steps"]) == ({}, 1400, 0)
    (one,), (other,) = events, together
    assert isinstance(one, NetworkFlow)
    assert isinstance(other, NetworkFlow)
    assert (one.source_packets, one.destination_packets) == (700, 700)
    for name in ("timestamp", "source", "source_bytes", "destination_bytes", "source_gap", "destination_gap", "duration"):
        assert getattr(one, name) == getattr(other, name)


def test_one_file_after_another(tmp_path: Path) -> None:
    days = [put(tmp_path / str(day), pcap(lone(50, 1, day * 86_400, 2000 + 100 * day))) for day in range(3)]
    expected = [event.timestamp for event in replayed(*days)[0]]
    assert [when.date() for when in expected] == sorted(when.date() for when in expected)
    assert [event.timestamp for event in replayed(*days[::-1])[0]] == expected
    assert replayed(*days[::-1])[2]["clock_steps"] == 0


def test_faults_of_all_files_are_added(tmp_path: Path) -> None:
    broken = put(tmp_path / "a", pcap(lone(3, 1))[:-5])
    other = put(tmp_path / "b", pcapng(lone(3, 1, port=20_000))[:-5])
    log = put(tmp_path / "c", lines(1) + b"nonsense\n")
    events, faults, _ = replayed(broken, other, log)
    assert len(events) == 5
    assert (faults["truncated_record"], faults["unreadable_line"]) == (2, 1)


def test_the_same_files_give_the_same_events(tmp_path: Path) -> None:
    paths = [put(tmp_path / "a", pcap(lone(50, 1))), put(tmp_path / "b", lines(*range(50)))]
    assert replayed(*paths)[0] == replayed(*paths)[0]
    assert fingerprint(paths) == fingerprint([put(tmp_path / "copy", paths[0].read_bytes()), paths[1]])
    assert fingerprint(paths) != fingerprint(paths[:1])
    changed = put(tmp_path / "changed", pcap(lone(50, 2)))
    assert {event.id for event in replayed(changed)[0]}.isdisjoint(event.id for event in replayed(paths[0])[0])


def test_progress_is_told(tmp_path: Path) -> None:
    paths = [put(tmp_path / "a", pcap(lone(5, 1))), put(tmp_path / "b", lines(*range(5)))]
    told: list[tuple[int, int, int]] = []
    replay = Replay([open_input(path) for path in paths], Pipeline(Privacy(bytes(32), agent="a", boot="1"), Kept()))
    replay.run(lambda *step: told.append(step))
    total = sum(path.stat().st_size for path in paths)
    assert {whole for _, whole, _ in told} == {total}
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)
    assert told[-1][0] == total - 24
    steps = [when for _, _, when in told]
    assert steps == sorted(steps)


def test_inputs_are_told_by_content(tmp_path: Path) -> None:
    assert isinstance(open_input(put(tmp_path / "x.pcap", lines(1))), LogFile)
    assert open_input(put(tmp_path / "x.log", pcap([]))).size == 24


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\x7fELF" + bytes(100), "neither a capture"),
        (pcap([])[:10], "cut inside the file header: 10 bytes"),
        (pcap([], link=147), "link type 147"),
        (b"\x1f\x8b\x08" + bytes(30), "decompress it first"),
    ],
)
def test_what_is_no_input_is_a_problem_with_its_name(tmp_path: Path, content: bytes, message: str) -> None:
    path = put(tmp_path / "input", content)
    with pytest.raises(Problem, match=message) as found:
        open_input(path)
    assert str(found.value).startswith(f"{path}: ")
    assert "\n" not in str(found.value)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="No such file"):
        open_input(tmp_path / "missing")
    with pytest.raises(Problem, match="is a folder"):
        open_input(tmp_path)
