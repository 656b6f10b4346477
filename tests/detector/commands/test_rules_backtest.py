"""`nigrani rules backtest`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from detector.setup import save_baseline
from nigrani import cli
from nigrani.stream.codec import encode_lines
from nigrani.stream.spool import Spool
from tests.detector.rule_files import counting, rule, write

if TYPE_CHECKING:
    from tests.detector.conftest import Learnt, Maker


def run(*words: str | Path) -> int:
    return cli.main(["rules", "backtest", *map(str, words)])


@pytest.fixture
def bus(make: Maker, tmp_path: Path) -> Path:
    with Spool.open(tmp_path / "bus") as spool:
        found = [make.dicom("c-find", at, host) for at, host in ((0, "ip:a"), (60, "ip:a"), (90_000, "ip:b"))]
        spool.publish(encode_lines(found), len(found))
    return tmp_path / "bus"


def test_alerts_a_day_and_what_an_operator_would_have_seen(
    bus: Path, state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "a.yml", rule(custom={"stage": "test", "suppress": {"by": ["host.id"], "for": "1h"}}))
    assert run(path, "--bus", bus) == 0
    told = capsys.readouterr()
    assert "Title of query (high), on 3 events of 2 days" in told.out
    assert "  2026-03-02        2       1\n  2026-03-03        1       1\n  in all            3       2\n" in told.out
    assert "  suppressed: 1 match\n" in told.out
    assert "  ip:a          2\n" in told.out
    assert told.out.count("HIGH  Title of query") == 2
    assert "no baseline" in told.err


def test_json(bus: Path, state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "a.yml", rule(id=None, level=None), counting(condition={"gt": 1}, timespan="2m"))
    assert run(path, "--bus", bus, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["matches"], found["alerts"], found["devices"]) == (1, 1, {"ip:a": 1})
    assert found["days"]["2026-03-03"] == {"matches": 0, "alerts": 0}
    assert found["shown"][0]["class_uid"] == 2004


def test_with_the_detectors_own_baseline(
    make: Maker, learnt: Learnt, state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "a.yml", rule(level="low", detection={"s": {"nigrani.new": "calling_ae"}, "condition": "s"}))
    (tmp_path / "e.ndjson").write_bytes(encode_lines([make.dicom("c-find", learnt.end, "ip:ws1", calling_ae="ROGUE")]))
    assert run(path, tmp_path / "e.ndjson") == 0
    assert "in all            0" in capsys.readouterr().out
    save_baseline(learnt.baseline, state / "baseline.npz")
    assert run(path, tmp_path / "e.ndjson") == 0
    told = capsys.readouterr()
    assert "in all            1       0\n" in told.out
    assert "low does not alert alone: it lays a risk of 20 on the device" in told.out
    assert "no baseline" not in told.err


def test_a_rule_that_is_only_counted(bus: Path, state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "a.yml", rule("base", id=None, level=None), counting(rules=["base"]))
    assert run("base", "--rules", tmp_path, "--bus", bus) == 1
    assert "base is no rule that alerts" in capsys.readouterr().err


def test_no_bus_and_no_events(state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "a.yml", rule())
    assert run(path) == 1
    assert "holds no spool" in capsys.readouterr().err
    assert run(path, "--since", "1d", "--bus", tmp_path / "x") == 1
