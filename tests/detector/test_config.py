"""detector.yaml: the defaults stand alone, and what cannot work is refused with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from detector.config import DetectorConfig
from nigrani.service.config import load
from nigrani.service.errors import BadConfig


def test_the_defaults_need_no_file() -> None:
    config = load(DetectorConfig, None)
    assert config == DetectorConfig()
    assert config.alerts.false_alarms_per_week == 7
    assert config.baseline.learn_minutes == 7 * 24 * 60
    assert config.metrics.listen.startswith("127.0.0.1:"), "nothing listens elsewhere unless it is configured"
    assert config.bus.path is None


def test_a_file_sets_what_it_names(tmp_path: Path) -> None:
    path = tmp_path / "detector.yaml"
    path.write_text(
        "rules: [/etc/nigrani/rules]\nbus: {path: /var/bus, group: second}\n"
        "baseline: {learn_minutes: 0, trusted: [a.pub]}\nalerts: {false_alarms_per_week: 0.5}\n"
    )
    config = load(DetectorConfig, path)
    assert config.rules == ("/etc/nigrani/rules",)
    assert config.bus.path == Path("/var/bus")
    assert config.bus.group == "second"
    assert config.baseline.learn_minutes == 0
    assert config.baseline.trusted == ("a.pub",)
    assert config.alerts.false_alarms_per_week == 0.5


BAD = [
    ("alerts: {false_alarms_per_week: 0}", "above 0"),
    ("alerts: {false_alarms_per_week: -1}", "above 0"),
    ("alerts: {false_alarms_per_week: .nan}", "above 0"),
    ("alerts: {false_alarms_per_week: many}", "alerts.false_alarms_per_week"),
    ("baseline: {learn_minutes: -5}", "at least 0"),
    ("baseline: {learn_minutes: 1.5}", "baseline.learn_minutes"),
    ("baseline: {learn: 5}", "baseline.learn"),
    ("alert: {path: x}", "did you mean alerts"),
    ("rules: /etc/nigrani/rules", "rules"),
    ("rule_files: {seconds: -1}", "rule_files.seconds must be at least 0"),
]


@pytest.mark.parametrize(("text", "told"), BAD)
def test_a_bad_setting_is_refused_where_it_stands(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "detector.yaml"
    path.write_text(f"# a comment\n{text}\n")
    with pytest.raises(BadConfig, match=told) as refusal:
        load(DetectorConfig, path)
    assert refusal.value.faults[0].path == str(path)
    assert refusal.value.faults[0].line == 2
