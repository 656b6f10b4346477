"""Programs of Debian that tests start: those that are installed, else unpacked from their packages into a cache.

Nothing is installed and no root is needed: `apt-get download` fetches, `dpkg-deb` unpacks. Where a program cannot be had,
its test is skipped and the summary at the end says so.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import subprocess
from functools import cache
from pathlib import Path

import pytest

from tests.used import report

PACKAGES = {
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "amtool": "prometheus-alertmanager",
    "chromium": "chromium",
    "chromedriver": "chromium-driver",
}
"""Program → Debian's package of it."""
FOLDERS = ("usr/bin", "usr/lib/chromium")
SECONDS = 120
"""For a download, at most."""


def program(name: str, request: pytest.FixtureRequest) -> str:
    """The path of a program; skips the test where it cannot be had."""
    path, reason = find(name)
    told = report(request.config)
    if not path:
        told.missing.append(f"what needs {name} (Debian's {PACKAGES[name]}): {reason}")
        pytest.skip(f"no {name}: {reason}")
    told.use(name, version(path))
    return path


@cache
def find(name: str) -> tuple[str, str]:
    """The path of a program, or empty and why there is none."""
    installed = shutil.which(name)
    if installed:
        return installed, ""
    try:
        path = _unpacked(name, PACKAGES[name])
        version(path)
    except (OSError, subprocess.SubprocessError, StopIteration) as error:
        said = getattr(error, "stderr", b"") or b""
        return "", said.decode(errors="replace").strip().splitlines()[-1] if said.strip() else type(error).__name__
    return path, ""


@cache
def version(path: str) -> str:
    """What it says of itself. Raises SubprocessError where it cannot run, as without a library of its own."""
    done = subprocess.run([path, "--version"], capture_output=True, check=True, timeout=20)
    return (done.stdout or done.stderr).decode(errors="replace").splitlines()[0]


def cache_folder() -> Path:
    """Where packages are unpacked."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nigrani-programs"


def _unpacked(name: str, package: str) -> str:
    folder = cache_folder() / package
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in several processes
        if not (folder / ".whole").exists():
            subprocess.run(["apt-get", "download", package], cwd=folder, capture_output=True, check=True, timeout=SECONDS)
            deb = next(folder.glob("*.deb"))
            subprocess.run(["dpkg-deb", "-x", deb, folder], capture_output=True, check=True, timeout=SECONDS)
            deb.unlink()
            (folder / ".whole").touch()
    return str(next(path for path in (folder / where / name for where in FOLDERS) if path.is_file()))


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
