"""config/prometheus: what promtool finds in it, and when each alert fires, stays quiet and what it then says."""

from __future__ import annotations

import re
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.kafka.certificates import Authority
from nigrani import metrics_reference
from tests.programs import program

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "config" / "prometheus"
CASES: dict[str, dict[str, list[dict[str, Any]]]] = yaml.safe_load((Path(__file__).parent / "alerts.yml").read_text())
RULES: list[dict[str, Any]] = [
    rule
    for name in ("records.yml", "alerts.yml")
    for group in yaml.safe_load((FOLDER / name).read_text())["groups"]
    for rule in group["rules"]
]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
WHO = {
    "D": 'site="a",job="nigrani-detector",instance="d"',
    "G": 'site="a",job="nigrani-agent",instance="g"',
}
PAGES = {"page": "https://page.test", "grafana": "https://grafana.test"}
DASHBOARDS = {"nigrani-soc", "nigrani-device", "nigrani-ai", "nigrani-pipeline", "nigrani-quality"}
METRIC = re.compile(r"[a-z_][a-z0-9_:]*")
OURS = ("nigrani_", "process_", "site:", "site_", "instance:")


def promtool(request: pytest.FixtureRequest, *words: str | Path, cwd: Path = FOLDER) -> None:
    done = subprocess.run(
        [program("promtool", request), *map(str, words)], cwd=cwd, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


def written(series: str) -> str:
    """The series with its target's labels written out."""
    return re.sub(r"\{([DG])(?=[,}])", lambda found: "{" + WHO[found[1]], series)


def selector(labels: dict[str, str]) -> str:
    return "ALERTS{" + ", ".join(f'{name}="{value}"' for name, value in sorted(labels.items())) + "}"


def group(name: str, case: dict[str, Any], *, fires: bool) -> dict[str, Any]:
    told = {"alertname": name, "alertstate": "firing", **case.get("labels", {})}
    return {
        "name": f"{name} {'fires' if fires else 'is quiet'} at {case['at']}",
        "interval": case.get("every", "1m"),
        "external_labels": PAGES,
        "input_series": [{"series": written(series), "values": values} for series, values in case["series"].items()],
        "promql_expr_test": [
            {
                "expr": f'ALERTS{{alertname="{name}",alertstate="firing"}}',
                "eval_time": case["at"],
                "exp_samples": [{"labels": selector(told), "value": 1}] if fires else [],
            }
        ],
    }


def needed(name: str) -> list[dict[str, Any]]:
    """The alert's rule, after the recording rules that it asks."""
    asked = [rule for rule in RULES if "record" in rule and rule["record"] in ALERTS[name]["expr"]]
    below = [rule for rule in RULES if "record" in rule and any(rule["record"] in one["expr"] for one in asked)]
    return [*below, *asked, ALERTS[name]]


def files(folder: Path, groups: list[dict[str, Any]]) -> list[Path]:
    """One file for each alert and interval."""
    by: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for one in groups:
        by[one["name"].split()[0], one["interval"]].append(one)
    paths = []
    for (name, every), some in by.items():
        rules = folder / f"{name}.rules.yml"
        rules.write_text(yaml.safe_dump({"groups": [{"name": name, "rules": needed(name)}]}))
        path = folder / f"{name}.{every}.yml"
        path.write_text(yaml.safe_dump({"rule_files": [str(rules)], "evaluation_interval": every, "tests": some}))
        paths.append(path)
    return paths


def test_rules_are_sound(request: pytest.FixtureRequest) -> None:
    promtool(request, "check", "rules", "--lint=all", "--lint-fatal", "records.yml", "alerts.yml")


def test_the_configuration_of_one_machine_is_sound(request: pytest.FixtureRequest) -> None:
    promtool(request, "check", "config", "prometheus.yml")


def test_the_configuration_of_a_fleet_is_sound_once_it_has_certificates(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    for path in FOLDER.glob("*.yml"):
        (tmp_path / path.name).write_text(path.read_text())
    (tmp_path / "agents").symlink_to(FOLDER / "agents")
    (tmp_path / "tls").mkdir()
    authority = Authority()
    authority.write(tmp_path / "tls" / "ca.crt")
    authority.issue(tmp_path / "tls", "prometheus", file="prometheus")
    promtool(request, "check", "config", "fleet.yml", cwd=tmp_path)


@pytest.mark.parametrize("when", ["fires", "quiet"])
def test_every_alert(request: pytest.FixtureRequest, tmp_path: Path, when: str) -> None:
    groups = [group(name, case, fires=when == "fires") for name, cases in CASES.items() for case in cases[when]]
    promtool(request, "test", "rules", *files(tmp_path, groups))


def test_a_test_of_alerts_can_fail(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    case = CASES["NigraniAgentDown"]["fires"][0]
    for wrong in (group("NigraniAgentDown", case, fires=False), group("NigraniAgentDown", case | {"at": "1m"}, fires=True)):
        with pytest.raises(AssertionError, match="FAILED"):
            promtool(request, "test", "rules", *files(tmp_path, [wrong]))


def test_each_alert_fires_and_is_quiet_in_some_case() -> None:
    assert CASES.keys() == ALERTS.keys()
    for name, cases in CASES.items():
        assert cases["fires"], name
        assert cases["quiet"] or name == "NigraniWatchdog", name


def test_what_an_alert_says(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    case = group("NigraniCaseOpen", CASES["NigraniCaseOpen"]["fires"][0], fires=True)
    case["alert_rule_test"] = [
        {
            "eval_time": "1m",
            "alertname": "NigraniCaseOpen",
            "exp_alerts": [
                {
                    "exp_labels": {"site": "a", "severity": "high", "kind": "port_scan", "about": "findings"},
                    "exp_annotations": {
                        "summary": "a: high case open, port_scan",
                        "description": "1 open. The page tells device, reasons and first steps.",
                        "runbook_url": "https://page.test/runbooks/port_scan",
                        "dashboard_url": "https://grafana.test/d/nigrani-soc",
                    },
                }
            ],
        }
    ]
    promtool(request, "test", "rules", *files(tmp_path, [case]))


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_what_how_bad_and_where_to_read_on(name: str) -> None:
    rule = ALERTS[name]
    notes = rule["annotations"]
    assert notes.keys() == {"summary", "description", "runbook_url", "dashboard_url"}
    slug = notes["runbook_url"].removeprefix("{{ $externalLabels.page }}/runbooks/")
    kebab = re.sub(r"(?<!^)(?=[A-Z])", "-", name.removeprefix("Nigrani")).lower()
    by_kind = name in {"NigraniCaseOpen", "NigraniFindingsUnstored"}
    assert slug == ("{{ $labels.kind }}" if by_kind else kebab)
    assert by_kind or (ROOT / "docs" / "runbooks" / f"{slug}.md").is_file(), "write it: what to do is half of an alert"
    assert notes["dashboard_url"].removeprefix("{{ $externalLabels.grafana }}/d/") in DASHBOARDS
    severity = rule["labels"].get("severity")
    assert severity in {"critical", "high", "medium", "low", "none"} or by_kind
    assert len(notes["summary"]) < 100
    assert notes["description"].endswith(".")


def test_rules_ask_for_metrics_that_there_are() -> None:
    rows = [*metrics_reference.detector(), *metrics_reference.agent(), *metrics_reference.both()]
    known = {f"{row.name}{tail}" for row in rows for tail in ("", "_bucket", "_sum", "_count")}
    known |= {rule["record"] for rule in RULES if "record" in rule}
    for rule in RULES:
        text = re.sub(r'"[^"]*"|by \([^)]*\)|on \([^)]*\)', "", rule["expr"])
        asked = {word for word in METRIC.findall(text) if word.startswith(OURS)}
        assert asked or rule["expr"] in {"vector(1)", 'absent(up{job="nigrani-detector"})'} or "up{" in rule["expr"]
        assert asked <= known, rule.get("alert") or rule.get("record")


def test_findings_page_at_once_and_the_pipeline_after_minutes() -> None:
    for name in ("NigraniCaseOpen", "NigraniFindingsUnstored", "NigraniReportDueNow", "NigraniAlertsUnwritten"):
        assert "for" not in ALERTS[name], name
    for name in ("NigraniAgentDown", "NigraniConsumerLag", "NigraniForwardStalled", "NigraniInterfaceDown"):
        assert ALERTS[name]["for"] == "5m"


def test_the_page_about_monitoring_tells_of_every_alert() -> None:
    text = (ROOT / "docs" / "monitoring.md").read_text()
    for name, rule in ALERTS.items():
        row = f"| `{name}` | {rule['labels'].get('severity', 'of the finding')} | {rule.get('for', 'at once')} |"
        assert row in text, row
    assert text.count("| `Nigrani") == len(ALERTS)
