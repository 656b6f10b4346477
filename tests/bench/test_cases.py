"""The benchmark of the case store makes what it says it makes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import cases
from bench.cases import life, storm
from detector.cases.ocsf import facts


def test_findings_are_as_the_detector_writes_them() -> None:
    found = facts(next(storm(10)))
    assert found.device.startswith("ip:")
    assert found.peer.startswith("ip:")
    assert 2000 < len(next(life(10))) < 5000


def test_no_finding_comes_twice() -> None:
    assert len({facts(line).uid for line in storm(3000, devices=20)}) == 3000


def test_figures_are_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cases, "STORM", 600)
    monkeypatch.setattr(cases, "SECONDS", 1)
    result = cases.figures(tmp_path, 300)
    json.dumps(result)
    assert result["steady"]["taken"] == result["steady"]["offered"] == 1000
    assert result["storm"]["cases"] <= 20
    assert len(result["pages_ms"]) > 20
