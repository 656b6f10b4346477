from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agent.logs import FORMATS
from nigrani.stream.codec import decode
from nigrani.stream.spool import SpoolReader
from tests.agent.packets import ROOT, START, datagram, frame, pcap, talk


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a capture, a log and, once something has run, a site key."""
    packets = talk("> S", "< SA", "> A", "> PA 100", "> FA", "< FA")
    packets.append(frame(datagram(("10.0.0.1", 1), ("10.0.0.2", 2)), 40))
    (tmp_path / "morning.pcap").write_bytes(pcap(packets))
    lines = [{"msec": START / 1e6 + second, "client": "10.0.0.1", "uri": "/infer/lung"} for second in (-1, 20, 60)]
    (tmp_path / "ai.log").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


def nigrani(folder: Path, *arguments: str, **more: Any) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "nigrani.cli", "agent", "replay", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NIGRANI_STATE": str(folder / "state")}
    more = {"stdout": subprocess.PIPE, **more}
    return subprocess.run(command, cwd=folder, env=environment, stderr=subprocess.PIPE, timeout=30, check=False, **more)


def datasets(lines: bytes) -> list[str]:
    for line in lines.splitlines():
        decode(line)
    return [json.loads(line)["event.dataset"] for line in lines.splitlines()]


def test_capture_and_log_together(folder: Path) -> None:
    done = nigrani(folder, "morning.pcap", "ai.log", "--summary")
    assert done.returncode == 0
    assert datasets(done.stdout) == ["ai.inference", "ai.inference", "network.flow", "ai.inference", "network.flow"]
    summary = json.loads(done.stderr)
    assert (summary["packets"], summary["flows"], summary["events"]) == (7, 2, 5)
    assert b"10.0.0" not in done.stdout + done.stderr
    again = nigrani(folder, "morning.pcap", "ai.log", "--events", "events.ndjson")
    assert (again.returncode, again.stdout, again.stderr) == (0, b"", b"")
    assert (folder / "events.ndjson").read_bytes() == done.stdout
    (folder / "state" / "site.key").unlink()
    assert nigrani(folder, "morning.pcap", "ai.log").stdout != done.stdout


def test_onto_the_bus(folder: Path) -> None:
    done = nigrani(folder, "morning.pcap", "--bus", "bus")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    reader = SpoolReader(folder / "bus", "test")
    batches = reader.poll(100)
    reader.close()
    assert datasets(b"".join(batch.lines for batch in batches)) == ["network.flow"] * 2


def test_inputs_that_cannot_be_read(folder: Path) -> None:
    (folder / "empty").touch()
    (folder / "foreign").write_bytes(b"\x7fELF" + bytes(100))
    done = nigrani(folder, "missing", "empty", ".", "foreign")
    assert (done.returncode, done.stdout) == (1, b"")
    told = done.stderr.decode().splitlines()
    assert [line.split(": ")[:2] for line in told] == [["nigrani", name] for name in ("missing", "empty", ".", "foreign")]
    assert [line.split(": ")[2].split(";")[0] for line in told] == [
        "No such file or directory",
        "is empty",
        "is a folder",
        "neither a capture (pcap, pcapng) nor a log that the agent knows (" + ", ".join(FORMATS) + ")",
    ]
    done = nigrani(folder, "missing", "morning.pcap")
    assert (done.returncode, datasets(done.stdout)) == (1, ["network.flow"] * 2)


def test_a_truncated_capture_is_read_as_far_as_it_goes(folder: Path) -> None:
    whole = (folder / "morning.pcap").read_bytes()
    (folder / "morning.pcap").write_bytes(whole[:-10])
    done = nigrani(folder, "morning.pcap")
    assert (done.returncode, datasets(done.stdout)) == (0, ["network.flow"])
    assert b"nigrani: morning.pcap: " in done.stderr
    assert b"truncated record: 1, first at byte " in done.stderr


@pytest.mark.parametrize("target", ["missing/events", ".", "/dev/full"])
def test_an_output_that_cannot_be_written(folder: Path, target: str) -> None:
    done = nigrani(folder, "morning.pcap", "--events", target)
    assert done.returncode == 1
    assert done.stderr.decode().startswith(f"nigrani: {target}: ")
    assert len(done.stderr.splitlines()) == 1


def test_standard_output_that_cannot_be_written(folder: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = nigrani(folder, "morning.pcap", stdout=full)
    assert done.returncode == 1
    assert b"No space left" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_reader_that_leaves_is_no_fault(folder: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = nigrani(folder, "morning.pcap", stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("meter:\n  capacty: 4096\n", "agent.yaml:2: unknown setting meter.capacty (did you mean capacity?)"),
        ("name: x\nmeter:\n  capacity: many\n", "agent.yaml:3: meter.capacity: expected `int`, got `str`"),
        ("meter: [\n", "agent.yaml:2: not YAML: "),
        ("a: &x 1\nb: *x\n", "agent.yaml: YAML aliases"),
        ("- a list\n", "agent.yaml:1: a configuration is a mapping"),
        ("privacy:\n  zones: {ct: [10.0.0.1/8]}\n", "agent.yaml:2: zones.ct: 10.0.0.1/8 has host bits set"),
        ("meter: {capacity: 1}\n", "agent.yaml:1: capacity: 1 is not within 16 and"),
    ],
)
def test_a_bad_configuration(folder: Path, text: str, told: str) -> None:
    (folder / "agent.yaml").write_text(text)
    done = nigrani(folder, "morning.pcap", "--config", "agent.yaml", "--events", "out")
    assert done.returncode == 78
    assert done.stderr.decode().startswith(f"nigrani: {told}")
    assert b"Traceback" not in done.stderr


def test_all_faults_at_once(folder: Path) -> None:
    (folder / "agent.yaml").write_text("nam: x\nmeter: {capacity: a}\nbus: {fsync: b}\n")
    done = nigrani(folder, "morning.pcap", "--config", "agent.yaml", "--set", "hots=1")
    assert done.returncode == 78
    assert len(done.stderr.splitlines()) == 4


@pytest.mark.parametrize(
    "arguments", [[], ["--nothing"], ["morning.pcap", "--set", "name"], ["morning.pcap", "--events", "x", "--bus", "y"]]
)
def test_a_command_line_that_makes_no_sense(folder: Path, arguments: list[str]) -> None:
    done = nigrani(folder, *arguments)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"Traceback" not in done.stderr


def test_settings_on_the_command_line_and_in_the_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGRANI__name", "from-the-environment")
    monkeypatch.setenv("NIGRANI__host", "10.0.0.2")
    done = nigrani(folder, "morning.pcap", "--set", "name=probe")
    first, second = map(json.loads, done.stdout.splitlines())
    assert first["agent.id"] == second["agent.id"] == "probe"
    assert first["host.id"] == second["host.id"] == first["destination.address"]


def test_replay_loads_nothing_of_the_detectors(folder: Path) -> None:
    script = (
        "import sys\nfrom nigrani.cli import main\n"
        "code = main(['agent', 'replay', 'morning.pcap', 'ai.log', '--events', 'out'])\n"
        "bad = {'numpy', 'scapy', 'sklearn', 'pandas', 'scipy', 'pyod', 'cryptography', 'detector'}\n"
        "if not sys.modules['agent.meter'].__file__.endswith('.py'):\n"
        "    bad |= {'cython', 'Cython'}\n"
        "print(code, sorted(bad & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NIGRANI_STATE": str(folder / "state")}
    done = subprocess.run([sys.executable, "-c", script], cwd=folder, env=environment, capture_output=True, check=True)
    assert done.stdout == b"0 []\n"
