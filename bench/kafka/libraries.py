"""Kafka's jars: fetched once by Maven into a cache, and the java that runs them."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree as ET

HERE = Path(__file__).parent
POM = HERE / "pom.xml"
OLDEST_JAVA = 17
LONGEST_FETCH = 300.0
"""Seconds after which Maven is given up."""


class Unavailable(Exception):  # noqa: N818 - a state of this machine, not a fault
    """Kafka cannot be run here; the message says why."""


def version() -> str:
    """The version of Kafka that the pom names."""
    found = ET.parse(POM).findtext(".//{*}kafka.version")
    assert found, f"{POM} names no kafka.version"
    return found


def java() -> str:
    """The java to run Kafka with, that of JAVA_HOME first."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=f"{home}/bin" if home else None)
    if found is None:
        raise Unavailable("there is no java here")
    said = subprocess.run([found, "-version"], capture_output=True, text=True, timeout=30, check=False).stderr
    major = re.search(r'version "(\d+)', said)
    if major is None or int(major[1]) < OLDEST_JAVA:
        raise Unavailable(f"Kafka needs java {OLDEST_JAVA} or later, {found} is {major[1] if major else 'none'}")
    return found


def libraries() -> Path:
    """The folder of jars, fetched if this is the first time."""
    java()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nigrani"
    folder = cache / f"kafka-{version()}"
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with _alone(cache / f"{folder.name}.lock"):
            if not folder.is_dir():
                _fetch(folder)
    return folder


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Wait until no other process fetches."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fetch(folder: Path) -> None:
    """Fetch aside and rename, so that half a download is never run."""
    maven = shutil.which("mvn")
    if maven is None:
        raise Unavailable("there is no mvn here to fetch Kafka with")
    with tempfile.TemporaryDirectory(prefix=f"{folder.name}-", dir=folder.parent) as aside:
        jars = Path(aside) / "jars"
        words = [maven, "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", "-DincludeScope=runtime"]
        _run([*words, f"-DoutputDirectory={jars}"], cwd=Path(aside))
        jars.rename(folder)


def _run(command: list[str], cwd: Path) -> None:
    try:
        done = subprocess.run(
            command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LONGEST_FETCH, check=False
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"Maven did not fetch Kafka within {LONGEST_FETCH:.0f} s") from None
    if done.returncode != 0:
        faults = [line.partition("[ERROR] ")[2] for line in done.stdout.splitlines() if "[ERROR] " in line]
        raise Unavailable(f"Maven could not fetch Kafka: {(faults or [done.stderr.strip()])[0][:300]}")
