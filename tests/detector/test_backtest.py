"""What rules would have said: matches a day, alerts a day after suppression, devices."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from detector.backtest import SHOWN, Backtest
from detector.ruleset import RuleSet
from tests.detector.rule_files import identity, load, rule

if TYPE_CHECKING:
    from tests.detector.conftest import Learnt, Maker

DAY = 86_400


def test_matches_and_alerts_by_day_and_device(make: Maker, tmp_path: Path) -> None:
    backtest = Backtest(RuleSet(load(tmp_path, rule())))
    backtest.run(make.dicom("c-find", at, host) for at, host in ((0, "a"), (60, "a"), (120, "b"), (DAY, "a")))
    verdict = backtest.verdicts[identity("query")]
    assert backtest.days == ["2026-03-02", "2026-03-03"]
    assert verdict.matches == {"2026-03-02": 3, "2026-03-03": 1}
    assert verdict.alerts == {"2026-03-02": 2, "2026-03-03": 1}, "one a device and hour"
    assert verdict.devices == {"a": 3, "b": 1}
    assert (verdict.suppressed, len(verdict.shown)) == (0, 3)


def test_after_suppression(make: Maker, tmp_path: Path) -> None:
    custom = {"suppress": {"by": ["dicom.calling_ae"], "for": "2h"}}
    backtest = Backtest(RuleSet(load(tmp_path, rule(custom=custom))))
    backtest.run(make.dicom("c-find", at, host, calling_ae="X") for at, host in ((0, "a"), (60, "b"), (7200, "c")))
    verdict = backtest.verdicts[identity("query")]
    assert (verdict.matches.total(), verdict.suppressed, verdict.alerts.total()) == (3, 1, 2)
    assert verdict.shown[1].because[-1] == "1 more like it did not alert since the last one that did"


def test_what_is_shown_is_bounded(make: Maker, tmp_path: Path) -> None:
    backtest = Backtest(RuleSet(load(tmp_path, rule())))
    backtest.run(make.dicom("c-find", at, f"h{at}") for at in range(100))
    verdict = backtest.verdicts[identity("query")]
    assert (verdict.alerts.total(), len(verdict.shown)) == (100, SHOWN)


def test_a_low_rule_does_not_alert_alone(make: Maker, tmp_path: Path) -> None:
    backtest = Backtest(RuleSet(load(tmp_path, rule(level="low"))))
    backtest.run([make.dicom("c-find")])
    verdict = backtest.verdicts[identity("query")]
    assert (verdict.alone, verdict.matches.total(), verdict.alerts.total()) == (False, 1, 0)


def test_what_is_new_is_known_with_a_baseline(make: Maker, learnt: Learnt, tmp_path: Path) -> None:
    rules = RuleSet(load(tmp_path, rule(detection={"s": {"nigrani.new": "calling_ae"}, "condition": "s"})))
    rogue = make.dicom("c-find", learnt.end, "ip:ws1", calling_ae="ROGUE")
    for knowledge, matches in ((None, 0), (learnt.knowledge, 1)):
        backtest = Backtest(rules, knowledge)
        backtest.run([rogue])
        assert backtest.verdicts[identity("query")].matches.total() == matches
