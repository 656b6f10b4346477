"""Interfaces as the kernel has them: a real one, a missing one, and, as root, one that is down or has no address."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agent.checks.interfaces import host, interface
from tests.agent.checks.subjects import levels, subject
from tests.agent.packets import ROOT

SPACE = f"nigrani-c{os.getpid()}"
LOOK = """
import sys
from pathlib import Path
from agent.checks.interfaces import interface
from tests.agent.checks.subjects import subject
it = subject(Path(sys.argv[1]), "interfaces: [va]")
for name in ("va", "vc"):
    print([(one.level, one.message) for one in interface(name, it)])
"""


def test_loopback_is_up(tmp_path: Path) -> None:
    (found,) = interface("lo", subject(tmp_path, "interfaces: [lo]"))
    assert found.level == "ok"
    assert "up, MTU " in found.message


def test_all_of_them_are_always_there(tmp_path: Path) -> None:
    assert levels(list(interface("any", subject(tmp_path, "interfaces: [any]")))) == ["ok"]


def test_one_that_is_not_there(tmp_path: Path) -> None:
    (found,) = interface("nowhere0", subject(tmp_path, "name: x\ninterfaces: [nowhere0]"))
    assert found.level == "fail"
    assert "lo" in found.remedy
    assert found.place.endswith(":2")


def test_the_hosts_address(tmp_path: Path) -> None:
    assert levels(list(host(subject(tmp_path, "host: 127.0.0.1")))) == ["ok"]
    (found,) = host(subject(tmp_path, "host: 203.0.113.9"))
    assert found.level == "warn"
    assert "203.0.113.9 is not this host's address" in found.message


def ip(*words: str) -> int:
    return subprocess.run(["ip", *words], check=False, capture_output=True, timeout=10).returncode


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("ip"), reason="needs root and network namespaces")
def test_down_without_carrier_and_without_an_address(tmp_path: Path) -> None:
    if ip("netns", "add", SPACE):
        pytest.skip("no network namespaces here")
    try:
        ip("-n", SPACE, "link", "add", "va", "type", "veth", "peer", "name", "vb")
        ip("-n", SPACE, "link", "add", "vc", "type", "veth", "peer", "name", "vd")
        for link in ("va", "vb", "vc"):
            ip("-n", SPACE, "link", "set", link, "up")
        command = ["ip", "netns", "exec", SPACE, sys.executable, "-c", LOOK, str(tmp_path)]
        first, second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
        assert "('ok', 'up, MTU 1500" in first
        assert "has no address, as on a mirror port" in first
        assert "is up and has no carrier" in second
        ip("-n", SPACE, "link", "set", "va", "down")
        first, _ = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
        assert "('warn', 'is down" in first
    finally:
        ip("netns", "del", SPACE)
