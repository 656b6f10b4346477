"""`nigrani detector devices`: what each device is taken for, and by whom."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from detector.baseline import Baseline
from detector.device_learner import DeviceClasses
from detector.setup import save_baseline

if TYPE_CHECKING:
    from tests.detector.conftest import Learnt, Run


@pytest.fixture
def baseline(learnt: Learnt, state: Path, tmp_path: Path) -> Path:
    path = tmp_path / "baseline.npz"
    classes = DeviceClasses.build({"ip:ws1": "workstation", "ip:his": "his", "ip:server0": "server"}).arrays()
    arrays = {**learnt.baseline.arrays, **{f"classes.{name}": array for name, array in classes.items()}}
    save_baseline(Baseline(learnt.baseline.header, arrays), path)
    return path


def test_devices_with_habits_and_those_that_are_named(nigrani: Run, baseline: Path, tmp_path: Path) -> None:
    config = tmp_path / "detector.yaml"
    config.write_text('devices: {tokens: {"ip:ws2": modality, "ip:\\e[2J": lab}}\n')
    done = nigrani("detector", "devices", "--baseline", baseline, "--config", config)
    assert done.returncode == 0
    assert b"\x1b" not in done.stdout
    rows = [line.split(None, 2) for line in done.stdout.decode().splitlines()]
    assert ["ip:ws1", "workstation", "the baseline"] in rows
    assert ["ip:ws2", "modality", "the site"] in rows
    assert ["ip:ws3", "unknown", "the baseline"] in rows
    assert ["ip:his", "his", "the baseline"] in rows
    assert rows[0] == ["device", "class", "by"]
    assert len(rows) == 1 + 6


def test_a_device_that_only_answers_may_be_asked_for(nigrani: Run, baseline: Path) -> None:
    done = nigrani("detector", "devices", "ip:server0", "--baseline", baseline, "--json")
    assert json.loads(done.stdout) == {"device": "ip:server0", "class": "server", "by": "the baseline"}


def test_without_a_baseline(nigrani: Run) -> None:
    done = nigrani("detector", "devices")
    assert done.returncode == 1
    assert b"baseline.npz: cannot be read" in done.stderr


def test_a_baseline_of_before_there_were_classes(nigrani: Run, learnt: Learnt, state: Path, tmp_path: Path) -> None:
    arrays = {name: array for name, array in learnt.baseline.arrays.items() if not name.startswith("classes.")}
    save_baseline(Baseline(learnt.baseline.header, arrays), tmp_path / "old.npz")
    done = nigrani("detector", "devices", "ip:ws1", "--baseline", tmp_path / "old.npz")
    assert done.stdout.decode().splitlines()[1].split(None, 2) == ["ip:ws1", "–", "the baseline"]
    assert b"train anew" in done.stderr
