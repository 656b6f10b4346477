"""What a user sees when something is wrong: one clear line, the exit code of the manners, and no traceback."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MORNING = ROOT / "tests" / "data" / "morning" / "capture.pcap"
BENIGN = ROOT / "tests" / "data" / "hl7" / "hl7_mllp_benign.pcap"


def nigrani(*words: object, state: Path) -> tuple[int, str, str]:
    environment = {**os.environ, "NIGRANI_STATE": str(state)}
    command = [sys.executable, "-m", "nigrani.cli", *map(str, words)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT, env=environment, check=False)
    assert "Traceback" not in result.stderr
    return result.returncode, result.stdout, result.stderr


def up(*words: object, state: Path) -> tuple[int, str, str]:
    ports = [word for name in ("metrics", "page") for word in ("--set", f"{name}.listen=127.0.0.1:0")]
    return nigrani("up", "--once", "--state", state, *ports, *words, state=state)


def test_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, _, error = up("--replay", BENIGN, "--set", f"metrics.listen=127.0.0.1:{port}", state=tmp_path)
    assert code == 1
    assert f"cannot serve metrics on 127.0.0.1:{port}" in error
    assert "set metrics.listen" in error


def test_bus_that_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "bus").write_text("not a folder")
    code, _, error = up("--replay", BENIGN, state=tmp_path)
    assert code == 1
    assert error.count("\n") == 1
    assert str(tmp_path / "bus") in error


def test_replay_of_nothing(tmp_path: Path) -> None:
    code, _, error = up("--replay", tmp_path / "missing.pcap", state=tmp_path)
    assert code == 1
    assert f"{tmp_path / 'missing.pcap'}: No such file or directory" in error


def test_once_without_replay(tmp_path: Path) -> None:
    code, _, error = up(state=tmp_path)
    assert code == 2
    assert "--once needs --replay" in error


def test_rule_that_does_not_parse(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "bad.yml").write_text("title: x\nlogsource: {service: flow\n")
    code, out, error = nigrani("replay", BENIGN, "--rules", tmp_path / "site", state=tmp_path)
    assert code == 78
    assert out == ""
    assert f"{tmp_path / 'site' / 'bad.yml'}:" in error


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("alertz: {}\n", ":1: unknown setting alertz (did you mean alerts?)"),
        ("alerts:\n  false_alarms_per_week: many\n", ":2: alerts.false_alarms_per_week: expected `float`, got `str`"),
        ("alerts:\n  false_alarms_per_week: -1\n", "must be above 0"),
        ("alerts: [\n", "not YAML"),
        ("a: &a [1]\nb: *a\n", "aliases"),
        ("just text\n", "mapping"),
    ],
)
def test_configuration(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "detector.yaml"
    path.write_text(text)
    code, _, error = up("--replay", BENIGN, "--config", path, state=tmp_path)
    assert code == 78
    assert str(path) in error
    assert told in error


def test_all_faults_of_a_configuration_at_once(tmp_path: Path) -> None:
    path = tmp_path / "agent.yaml"
    path.write_text("nam: x\nmeter:\n  capacity: lots\nprivacy:\n  domains: none\n")
    code, _, error = nigrani("agent", "replay", BENIGN, "--config", path, state=tmp_path)
    assert code == 78
    assert [f":{line}: " in error for line in (1, 3, 5)] == [True] * 3


def test_site_key_that_others_can_read(tmp_path: Path) -> None:
    (tmp_path / "site.key").write_bytes(b"k" * 32)
    (tmp_path / "site.key").chmod(0o644)
    code, _, error = nigrani("agent", "replay", BENIGN, state=tmp_path)
    assert code == 1
    assert "chmod 600" in error


def test_state_that_is_not_writable() -> None:
    code, _, error = nigrani("agent", "replay", BENIGN, state=Path("/proc/nowhere"))
    assert code == 1
    assert error.count("\n") == 1


def test_unknown_command() -> None:
    code, _, error = nigrani("watch", state=Path())
    assert code == 2
    assert "invalid choice: 'watch'" in error


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small disk")
def test_a_bus_without_room_says_what_is_lost(tmp_path: Path) -> None:
    """On a disk of 64 KiB not one record of the morning finds room."""
    disk = tmp_path / "disk"
    disk.mkdir()
    small = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if subprocess.run(small, capture_output=True, check=False).returncode:
        pytest.skip("no mounts here")
    try:
        code, _, error = nigrani("agent", "replay", MORNING, "--bus", disk / "bus", state=tmp_path)
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    assert code == 1
    assert "events, which are lost; free disk space" in error
