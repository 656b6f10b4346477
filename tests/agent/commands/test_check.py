"""`nigrani agent check` as a process: all faults at once, exit codes, bounded time, and nothing changed."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.agent.packets import ROOT

FAULTS = """\
interfaces: eth0
host: here
meter:
  capacity: 1
privacy:
  zones:
    ct: [10.0.0.1/8]
    mr: [10.1.0.0/16, nonsense]
capture:
  exclude: ["udp or tcp"]
logs:
  files:
    x: {path: /x, format: orthanc, zone: Mars/Olympus}
metrics:
  listen: nowhere
kafka:
  servers: [kafka]
  tpoic: x
"""


def check(folder: Path, *words: object, text: str | None = None) -> tuple[int, str, str]:
    path = folder / "agent.yaml"
    if text is not None:
        path.write_text(text)
    command = [sys.executable, "-m", "nigrani.cli", "agent", "check", "--config", str(path), *map(str, words)]
    environment = {**os.environ, "NIGRANI_STATE": str(folder / "state"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def test_every_fault_of_a_configuration_with_its_line(tmp_path: Path) -> None:
    code, out, error = check(tmp_path, text=FAULTS)
    assert code == 78
    lines = out.splitlines()
    assert all(line.startswith("fail  configuration ") for line in lines)
    told = [int(line.rpartition("agent.yaml:")[2].partition(":")[0].rstrip(")")) for line in lines]
    assert sorted(told) == [1, 4, 7, 8, 10, 13, 15, 17, 18]
    assert "9 faults" in error
    assert "did you mean topic?" in out


def test_a_machine_that_is_fit(tmp_path: Path) -> None:
    text = (
        "interfaces: [lo]\nmetrics: {listen: '127.0.0.1:0'}\n" if os.geteuid() == 0 else "logs: {folders: {m: {path: /}}}\n"
    )
    before = sorted(tmp_path.rglob("*"))
    code, out, _ = check(tmp_path, "--offline", text=text)
    assert code == 0, out
    assert out.startswith("ok    configuration ")
    assert "fail" not in out
    assert "\x1b" not in out, "no colour in a pipe"
    assert sorted(tmp_path.rglob("*")) == [*before, tmp_path / "agent.yaml"], "nothing was made"


def test_json(tmp_path: Path) -> None:
    code, out, error = check(tmp_path, "--json", "--offline", text="interfaces: [nowhere0]\n")
    told = json.loads(out)
    assert code == told["exit"] == 1
    assert error == ""
    (fault,) = [one for one in told["findings"] if one["about"] == "interface nowhere0"]
    assert (fault["level"], fault["place"][-2:]) == ("fail", ":1")


def test_nothing_to_watch_and_nothing_to_read(tmp_path: Path) -> None:
    assert check(tmp_path, text="name: x\n")[0] == 78
    (tmp_path / "agent.yaml").unlink()
    code, out, _ = check(tmp_path)
    assert code == 1
    assert "No such file" in out


def test_servers_that_never_answer_cost_no_more_than_the_timeout(tmp_path: Path) -> None:
    """One accepts and is silent, where TLS is awaited; another's name is slow to be unknown."""
    (tmp_path / "ca.pem").write_text("")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        servers = f"['127.0.0.1:{silent.getsockname()[1]}', 'x.invalid:1']"
        text = f"logs: {{folders: {{m: {{path: /}}}}}}\nkafka:\n  servers: {servers}\n"
        begin = time.monotonic()
        code, out, _ = check(tmp_path, "--timeout", 1, text=text)
        assert time.monotonic() - begin < 6
        assert code == 1
        assert "fail  topic nigrani.events" in out
        begin = time.monotonic()
        assert check(tmp_path, "--timeout", 1, "--offline")[0] == 0
        assert time.monotonic() - begin < 5


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_somebody_without_rights(tmp_path: Path) -> None:
    secret = tmp_path / "x.log"
    secret.write_text("x\n")
    secret.chmod(0o600)
    path = tmp_path / "agent.yaml"
    path.write_text(f"interfaces: [lo]\nlogs:\n  files:\n    x: {{path: {secret}, format: orthanc}}\n")
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(0o755)
    words = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"]
    command = [*words, sys.executable, "-m", "nigrani.cli", "agent", "check", "--offline", "--config", str(path)]
    environment = {**os.environ, "NIGRANI_STATE": str(tmp_path / "state"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, timeout=60, check=False)
    if "Permission denied" in done.stderr or "No module" in done.stderr:
        pytest.skip("this checkout is not everybody's to read")
    assert done.returncode == 1
    assert "lacks CAP_NET_RAW" in done.stdout
    assert "x.log cannot be read by nobody" in done.stdout
    assert "cannot be made" in done.stdout


@pytest.mark.parametrize("seconds", ["0", "many", "-1", "1e9"])
def test_a_timeout_is_some_seconds(tmp_path: Path, seconds: str) -> None:
    assert check(tmp_path, "--timeout", seconds)[0] == 2


def test_what_a_file_says_does_not_reach_the_terminal_as_a_command(tmp_path: Path) -> None:
    code, out, _ = check(tmp_path, "--offline", text='logs: {folders: {m: {path: "/\\e[31mred\\n"}}}\n')
    assert code == 0
    assert "\x1b" not in out
