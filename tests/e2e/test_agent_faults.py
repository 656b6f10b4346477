"""What befalls an agent on its host: it goes on and counts it, or ends with one clear line and the right exit code."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nigrani.stream.bus import Batch
from nigrani.stream.events import AgentStatus, AiInference
from nigrani.stream.spool import SpoolReader, verify
from tests.e2e.agents import NOBODY, ROOT, batches, command, events, lines, once, running, watching


def nobody_can() -> bool:
    """Whether a user without rights can run the agent from here."""
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        return False
    words = [*NOBODY, sys.executable, "-c", "import agent.service"]
    return subprocess.run(words, cwd=ROOT, capture_output=True, timeout=20, check=False).returncode == 0


root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
as_nobody = pytest.mark.skipif(not nobody_can(), reason="needs root, setpriv, and a Python that everybody may run")
PROBLEM, BAD_CONFIG = 1, 78


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "gate.log"
    path.write_text(lines(0, 10))
    return path


@pytest.fixture
def open_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that everybody may enter: pytest's own are their user's alone."""
    path = Path("/tmp") / f"nigrani-test-{os.getpid()}"
    path.mkdir(mode=0o755)
    yield path
    shutil.rmtree(path)


def inferences(state: Path, group: str = "test") -> list[int]:
    return [event.request_bytes for event in events(state, group) if isinstance(event, AiInference)]


# What ends it at the start


@pytest.mark.parametrize("seed", range(6))
def test_a_configuration_of_random_bytes(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    sample = (ROOT / "config" / "agent.yaml").read_bytes()
    at = chance.randrange(len(sample))
    content = chance.randbytes(400) if seed < 3 else sample[:at] + chance.randbytes(8) + sample[at:]
    path = tmp_path / "agent.yaml"
    path.write_bytes(content)
    code, said = once(tmp_path, config=path)
    assert code == BAD_CONFIG
    assert all(line.startswith(f"nigrani: {path}") and line.isprintable() for line in said.splitlines()), said


def test_two_agents_on_one_spool(log: Path, tmp_path: Path) -> None:
    with running(tmp_path / "one", watching(log)) as agent:
        agent.ready()
        bus = tmp_path / "one" / "bus"
        code, said = once(tmp_path / "two", watching(log), f"bus.path={bus}", "metrics.listen=127.0.0.1:0")
        assert (code, said) == (
            PROBLEM,
            f"nigrani: {bus} has a writer already: stop it, or choose a directory for this one\n",
        )
        agent.until("nigrani_agent_events_total", 10)
        agent.stop()


def test_a_port_that_is_taken(log: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        code, said = once(tmp_path, watching(log), f"metrics.listen={where}")
    assert code == PROBLEM
    assert said.count("\n") == 1
    assert where in said


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('{"format": "nigrani spool", "version": 9}', "has spool version 9"),
        ('{"format": "something else"}', "does not describe a spool"),
        ("\0\0\0\0", "does not describe a spool"),
    ],
)
def test_a_spool_of_another_version(content: str, told: str, log: Path, tmp_path: Path) -> None:
    (tmp_path / "bus").mkdir()
    (tmp_path / "bus" / "spool.json").write_text(content)
    code, said = once(tmp_path, watching(log), "metrics.listen=127.0.0.1:0")
    assert code == PROBLEM
    assert said.count("\n") == 1
    assert told in said


def test_a_spool_with_other_files_in_it(log: Path, tmp_path: Path) -> None:
    """In a new folder it is refused; in a spool's own it does no harm."""
    (tmp_path / "bus").mkdir()
    (tmp_path / "bus" / "letters.txt").write_text("x")
    code, said = once(tmp_path, watching(log), "metrics.listen=127.0.0.1:0")
    assert code == PROBLEM
    assert "holds other files, such as letters.txt" in said
    (tmp_path / "bus" / "letters.txt").unlink()
    (tmp_path / "bus" / ("0" * 20 + "-" + "0" * 20 + ".log")).write_bytes(os.urandom(5000))
    (tmp_path / "bus" / "spool.json").write_text('{"format": "nigrani spool", "version": 1}')
    (tmp_path / "bus" / "junk").write_bytes(os.urandom(100))
    (tmp_path / "bus" / "forward.offset").write_bytes(os.urandom(100))
    with running(tmp_path, watching(log)) as agent:
        agent.ready()
        agent.until("nigrani_agent_events_total", 10)
        agent.stop()
    assert inferences(tmp_path) == list(range(10))


@root
def test_a_state_folder_that_is_read_only(log: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", state], capture_output=True, check=False).returncode:
        pytest.skip("no mounts here")
    try:
        code, said = once(state, watching(log), "metrics.listen=127.0.0.1:0")
    finally:
        subprocess.run(["umount", state], check=True)
    assert code == PROBLEM
    assert said.count("\n") == 1
    assert "ead-only file system" in said


# What it may not do, as the user nobody


@as_nobody
def test_an_interface_without_the_right_to_watch_it(open_folder: Path) -> None:
    os.chown(open_folder, 65534, 65534)
    code, said = once(open_folder, "interfaces=[lo]", "metrics.listen=127.0.0.1:0", before=NOBODY)
    assert (code, said) == (PROBLEM, "nigrani: interface lo: watching it needs CAP_NET_RAW (or root)\n")


@as_nobody
def test_a_state_folder_of_somebody_else(open_folder: Path, log: Path) -> None:
    code, said = once(open_folder, watching(log), "metrics.listen=127.0.0.1:0", before=NOBODY)
    assert code == PROBLEM
    assert said.count("\n") == 1
    assert str(open_folder) in said


@as_nobody
def test_a_key_of_somebody_else(open_folder: Path, log: Path) -> None:
    os.chown(open_folder, 65534, 65534)
    key = open_folder / "site.key"
    key.write_bytes(b"k" * 32)
    key.chmod(0o600)
    code, said = once(open_folder, watching(log), "metrics.listen=127.0.0.1:0", before=NOBODY)
    assert code == PROBLEM
    assert said.count("\n") == 1
    assert str(key) in said


@as_nobody
def test_a_configuration_of_somebody_else(open_folder: Path) -> None:
    path = open_folder / "agent.yaml"
    path.write_text("name: a\n")
    path.chmod(0o600)
    code, said = once(open_folder, config=path, before=NOBODY)
    assert code == PROBLEM
    assert said == f"nigrani: {path}: Permission denied\n"


@as_nobody
def test_a_log_that_may_not_be_read(open_folder: Path) -> None:
    """The others are read on; what is wrong is said once, and counted."""
    os.chown(open_folder, 65534, 65534)
    secret, gate = open_folder / "secret.log", open_folder / "gate.log"
    for path, mode in ((secret, 0o600), (gate, 0o644)):
        path.write_text(lines(0, 10))
        path.chmod(mode)
    closed = f"logs.files.closed={{path: {secret}, format: ai-gateway, beginning: true}}"
    with running(open_folder, watching(gate), closed, before=NOBODY) as agent:
        agent.ready()
        agent.until("nigrani_agent_events_total", 10)
        assert agent.metrics()['nigrani_agent_log_unreadable_files_total{source="closed"}'] == 1
        assert agent.said().count(f"{secret}: Permission denied") == 1
        agent.stop()


# What it is short of


@pytest.mark.parametrize("files", [5, 6])
def test_too_few_file_descriptors_to_start(files: int, log: Path, tmp_path: Path) -> None:
    limited = ("prlimit", f"--nofile={files}")
    code, said = once(tmp_path, watching(log), "metrics.listen=127.0.0.1:0", before=limited)
    assert code == PROBLEM
    last = said.splitlines()[-1]
    assert last.startswith("nigrani: ")
    assert "Too many open files" in last


def test_file_descriptors_that_run_out(log: Path, tmp_path: Path) -> None:
    """Others take all of them while it runs: it waits, and goes on."""
    with running(tmp_path, watching(log)) as agent:
        agent.ready()
        agent.until("nigrani_agent_events_total", 10)
        limit = ["prlimit", f"--pid={agent.process.pid}"]
        subprocess.run([*limit, "--nofile=5:1024"], check=True)
        with log.open("a") as file:
            file.write(lines(10, 10))
        log.rename(log.with_name("gate.log.1"))
        log.write_text(lines(20, 10))
        time.sleep(1.0)
        subprocess.run([*limit, "--nofile=1024:1024"], check=True)
        agent.until("nigrani_agent_events_total", 30, 20)
        agent.stop()
    assert inferences(tmp_path) == list(range(30))


@as_nobody
def test_no_more_threads(open_folder: Path) -> None:
    os.chown(open_folder, 65534, 65534)
    gate = open_folder / "gate.log"
    gate.write_text(lines(0, 10))
    gate.chmod(0o644)
    limited = ("prlimit", "--nproc=1", *NOBODY)
    code, said = once(open_folder, watching(gate), "metrics.listen=127.0.0.1:0", before=limited)
    assert code == PROBLEM
    assert said.count("\n") == 1
    assert "thread" in said


@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")
def test_a_disk_that_fails(log: Path, tmp_path: Path) -> None:
    """Some writes to the spool give EIO: these events are lost counted, the log says when it begins and when it is over."""
    faults = ("strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=writev", "-e", "inject=writev:error=EIO:when=3..5")
    with running(tmp_path, watching(log), before=faults) as agent:
        agent.ready()
        for number in range(10, 40, 10):
            with log.open("a") as file:
                file.write(lines(number, 10))
            agent.until("nigrani_agent_events_total", number + 10)
            time.sleep(0.3)  # a record of its own
        lost = agent.metrics()["nigrani_agent_lost_events_total"]
        assert lost
        assert agent.said().count("events are being lost") == 1
        assert "Input/output error" in agent.said()
        agent.stop()
    kept = inferences(tmp_path)
    assert len(kept) + lost >= 40
    assert sorted(set(kept)) == kept
    assert not list(verify(tmp_path / "bus"))


# What ends it, and what it meets then


def test_told_to_end_in_the_midst_of_its_start(log: Path, tmp_path: Path) -> None:
    for number in range(6):
        environment = {**os.environ, "NIGRANI_STATE": str(tmp_path)}
        words = command(watching(log), "metrics.listen=127.0.0.1:0")
        with subprocess.Popen(words, cwd=ROOT, env=environment, stderr=subprocess.PIPE) as process:
            time.sleep(number * 0.08)
            process.terminate()
            _, said = process.communicate(timeout=15)
        assert process.returncode in {0, -signal.SIGTERM}, said
        assert b"Traceback" not in said
    with running(tmp_path, watching(log)) as agent:
        agent.ready()
        with log.open("a") as file:
            file.write(lines(10, 10))
        agent.until("nigrani_agent_events_total", 10)
        agent.stop()
    assert inferences(tmp_path) == list(range(20))
    assert not list(verify(tmp_path / "bus"))


def test_killed_at_any_moment(tmp_path: Path) -> None:
    """What a reader has had stays, in its order; what was written torn is cut; the log's lines are all there."""
    log = tmp_path / "gate.log"
    log.write_text("")
    chance = random.Random(1)
    had: list[Batch] = []
    written = 0
    for _ in range(4):
        with running(tmp_path, watching(log)) as agent:
            agent.ready()
            end = time.monotonic() + chance.uniform(0.1, 0.8)
            while time.monotonic() < end:
                with log.open("a") as file:
                    file.write(lines(written, 200))
                written += 200
                time.sleep(0.02)
            had += batches(tmp_path, "early")
            agent.process.kill()
            agent.process.wait()
    with running(tmp_path, watching(log)) as agent:
        agent.ready()
        with log.open("a") as file:
            file.write(lines(written, 1))
        reader = SpoolReader(tmp_path / "bus", "waiting")
        end = time.monotonic() + 20
        while not any(f'"http.request.bytes":{written}}}'.encode() in batch.lines for batch in reader.poll(1000, 0.2)):
            assert time.monotonic() < end
        reader.close()
        agent.stop()
    kept = {batch.offset: batch for batch in batches(tmp_path, "late")}
    assert len(had) > 4
    assert all(kept[batch.offset] == batch for batch in had)
    assert sorted(kept) == list(range(len(kept)))
    assert not list(verify(tmp_path / "bus"))
    assert sorted(set(inferences(tmp_path, "all"))) == list(range(written + 1))


def test_brokers_that_accept_and_never_answer(log: Path, tmp_path: Path) -> None:
    """Nothing is lost of what is read meanwhile, metrics answer, and it ends in time."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        where = f"127.0.0.1:{silent.getsockname()[1]}"
        with running(tmp_path, watching(log), f"kafka.servers=[{where}]") as agent:
            agent.ready()
            agent.until("nigrani_agent_events_total", 10)
            with log.open("a") as file:
                file.write(lines(10, 1000))
            agent.until("nigrani_agent_events_total", 1010)
            agent.stop()
    assert inferences(tmp_path) == list(range(1010))
    status = [event for event in events(tmp_path, "again") if isinstance(event, AgentStatus)]
    assert "lost_events" not in status[-1].skipped
