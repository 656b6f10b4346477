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


def test_cases_are_kept_where_the_bus_is_and_with_kafka_where_it_is_said() -> None:
    assert load(DetectorConfig, None).has_cases
    kafka = ["kafka.servers=[k:9092]"]
    assert not load(DetectorConfig, None, kafka).has_cases
    assert load(DetectorConfig, None, [*kafka, "cases.enabled=true"]).has_cases
    assert not load(DetectorConfig, None, ["cases.enabled=false"]).has_cases


def test_devices_are_named_by_token_or_zone(tmp_path: Path) -> None:
    path = tmp_path / "detector.yaml"
    path.write_text("devices:\n  zones:\n    bedside: bedside\n  tokens:\n    ip:53676b6f876b564e: pacs\n")
    named = load(DetectorConfig, path).devices
    assert (named.zones, named.tokens) == ({"bedside": "bedside"}, {"ip:53676b6f876b564e": "pacs"})


def test_every_bad_class_is_told_in_its_line(tmp_path: Path) -> None:
    path = tmp_path / "detector.yaml"
    path.write_text("devices:\n  zones:\n    a: pacs\n    b: none\n    c: no.ne\n")
    with pytest.raises(BadConfig) as refusal:
        load(DetectorConfig, path)
    assert [fault.line for fault in refusal.value.faults] == [4, 5]


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
    ("cases: {retention_days: 0}", "1 to 36500"),
    ("cases: {retention_days: 1.5}", "cases.retention_days"),
    ("cases: {enabled: perhaps}", "cases.enabled"),
    ("alerts: {false_alarms_per_week: 0}", "above 0"),
    ("alerts: {false_alarms_per_week: -1}", "above 0"),
    ("alerts: {false_alarms_per_week: .nan}", "above 0"),
    ("alerts: {false_alarms_per_week: many}", "alerts.false_alarms_per_week"),
    ("baseline: {learn_minutes: -5}", "at least 0"),
    ("baseline: {learn_minutes: 1.5}", "baseline.learn_minutes"),
    ("baseline: {learn: 5}", "baseline.learn"),
    ("alert: {path: x}", "did you mean alerts"),
    ("rules: /etc/nigrani/rules", "rules"),
    ("devices: {zones: {ct: scanner}}", "devices.zones.ct: there is no class `scanner` of devices; use one of: modality"),
    ("devices: {tokens: {'ip:1': PACS}}", "devices.tokens.ip:1: there is no class `PACS`"),
    ("devices: {tokens: {'ip:1': [pacs]}}", "devices.tokens"),
    ("devices: {hosts: {}}", "devices.hosts"),
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
