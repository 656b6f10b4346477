"""The units hold what they promise: nothing unknown in them, little exposure, and bounds on all that they may take."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = sorted((Path(__file__).parents[2] / "systemd").glob("*.service"))
MOST_EXPOSURE = 20
"""Of `systemd-analyze security`, in tenths."""

analyzed = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed here")


def settings(unit: Path) -> dict[str, list[str]]:
    """Key → its values, in order."""
    found: dict[str, list[str]] = {}
    for key, value in re.findall(r"^([A-Za-z]+)=(.*)$", unit.read_text(), re.MULTILINE):
        found.setdefault(key, []).append(value)
    return found


@pytest.fixture
def runnable(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The unit with a command that is on every machine, as systemd-analyze looks for it."""
    unit: Path = request.param
    copy = tmp_path / unit.name
    copy.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", unit.read_text(), flags=re.MULTILINE))
    return copy


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *map(str, arguments)], capture_output=True, text=True, check=False)


@analyzed
@pytest.mark.parametrize("runnable", UNITS, indirect=True, ids=lambda unit: unit.stem)
def test_systemd_has_nothing_to_say(runnable: Path) -> None:
    told = analyze("verify", "--man=no", runnable)
    about = [line for line in told.stderr.splitlines() if runnable.name in line]
    assert (told.returncode, about) == (0, [])


@analyzed
@pytest.mark.parametrize("runnable", UNITS, indirect=True, ids=lambda unit: unit.stem)
def test_little_is_exposed(runnable: Path) -> None:
    told = analyze("security", "--offline=true", f"--threshold={MOST_EXPOSURE}", "--no-pager", runnable)
    assert told.returncode == 0, told.stdout[-200:]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_service_is_bounded_and_comes_back(unit: Path) -> None:
    found = settings(unit)
    assert found["Type"] == ["notify"]
    assert found["ExecReload"] == ["/bin/sh -c 'kill -HUP $MAINPID'"]
    assert found["SyslogLevel"] == ["err"]
    assert {"WatchdogSec", "MemoryMax", "CPUWeight", "TasksMax", "OOMScoreAdjust"} <= found.keys()
    assert found["Restart"] == ["on-failure"]
    assert set(found["RestartPreventExitStatus"][0].split()) == {"2", "78"}
    assert (found["User"], found["StateDirectory"], found["StateDirectoryMode"]) == (["nigrani"], ["nigrani"], ["0700"])


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_only_the_agent_has_a_capability(unit: Path) -> None:
    found = settings(unit)
    wanted = ["CAP_NET_RAW"] if unit.stem == "nigrani-agent" else [""]
    assert found["CapabilityBoundingSet"] == wanted
    assert found.get("AmbientCapabilities", [""]) == wanted
    assert ("AF_PACKET" in found["RestrictAddressFamilies"][0]) == (unit.stem == "nigrani-agent")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_secrets_are_credentials_that_may_be_absent(unit: Path) -> None:
    loaded = settings(unit)["LoadCredential"]
    assert len(set(loaded)) == len(loaded)
    for credential in loaded:
        name, _, source = credential.partition(":")
        assert source.endswith(name)
        assert "/" not in source, "an absolute path must be there, or the service does not start"


def test_raw_packets_stay_in_memory() -> None:
    found = settings(next(unit for unit in UNITS if unit.stem == "nigrani-agent"))
    assert (found["LimitCORE"], found["MemorySwapMax"]) == (["0"], ["0"])


def test_there_is_a_unit_for_each_service() -> None:
    assert [unit.stem for unit in UNITS] == ["nigrani-agent", "nigrani-detector", "nigrani-forward"]
