"""What a service that runs has cost so far."""

from __future__ import annotations

import os
from pathlib import Path

from bench.transport.site import Service


def cpu_seconds(one: Service) -> float:
    """User and system."""
    fields = _proc(one, "stat").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_megabytes(one: Service) -> float:
    """Resident, at most."""
    return int(_proc(one, "status").partition("VmHWM:")[2].split()[0]) / 1024


def _proc(one: Service, name: str) -> str:
    assert one.process is not None
    return Path(f"/proc/{one.process.pid}/{name}").read_text(encoding="utf-8")
