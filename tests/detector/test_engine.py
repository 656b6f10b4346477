"""Rules alert at once, anomalies once their minute is over, each finding once, and a replay gives the same alerts."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detector import engine as module
from detector.alert import Alert
from detector.calibration import budget_p
from detector.config import Devices
from detector.device_learner import DeviceClasses
from detector.engine import BATCH, EPISODE, MERGE, REMEMBER, Engine, State
from detector.features import WINDOW
from detector.ruleset import RuleSet
from detector.setup import load_rules
from detector.silence import PATIENCE, Silence
from detector.windows import LATENESS
from nigrani.stream.codec import decode
from tests.detector.rule_files import counting, identity, load, rule

if TYPE_CHECKING:
    from detector.engine import Knowledge
    from nigrani.stream.event import Event
    from tests.detector.conftest import Learnt, Maker


class Watch:
    """An engine with the shipped rules, and what it told."""

    def __init__(self, knowledge: Knowledge | None = None, budget: float = 7.0) -> None:
        self.alerts: list[Alert] = []
        self.engine = Engine(load_rules(), self.alerts.append, knowledge, budget)

    def feed(self, *events: Event) -> Watch:
        for event in events:
            self.engine.feed(event)
        return self

    def close(self) -> Watch:
        self.engine.close()
        return self

    @property
    def titles(self) -> list[str]:
        return [alert.title for alert in self.alerts]

    @property
    def anomalies(self) -> list[Alert]:
        return [alert for alert in self.alerts if alert.source == "anomaly"]

    def wire(self) -> list[bytes]:
        return [msgspec.json.encode(alert.ocsf()) for alert in self.alerts]


def in_time(events: Iterable[Event]) -> list[Event]:
    return sorted(events, key=lambda event: event.timestamp)


def theft(make: Maker, at: float, host: str = "ip:ws1") -> Event:
    """Five gigabytes to a known peer that is on the internet: no rule tells of it."""
    return make.flow(
        at, host, destination="ip:server0", destination_zone="internet", source_payload=5 * 10**9, source_packets=4_000_000
    )


def copy(make: Maker, at: float, host: str = "ip:ws1") -> Event:
    """Five gigabytes to a known peer within the site."""
    return make.flow(at, host, destination="ip:server0", source_payload=5 * 10**9, source_packets=4_000_000)


def hour(make: Maker, at: float, *more: Event, minutes: int = 20) -> list[Event]:
    return in_time([*make.morning(minutes, seed=7, at=at), *more])


class TestRules:
    def test_a_rule_fires_at_the_event_that_completes_it(self, make: Maker) -> None:
        watch = Watch()
        scan = make.scan()
        told_at = None
        for number, event in enumerate(scan):
            watch.feed(event)
            if watch.alerts:
                told_at = number
                break
        assert told_at == 40, "more than forty ports"
        [alert] = watch.alerts
        assert (alert.source, alert.severity, alert.device, alert.zone) == ("rule", "high", "ip:ws", "clinical")
        assert alert.when == scan[40].timestamp
        assert alert.first <= scan[0].timestamp
        assert alert.because[0]
        assert alert.runbook == "port-scan"
        assert alert.first_steps
        assert alert.matrix
        assert alert.events == [event.id for event in scan[31:41]]

    def test_one_alert_a_device_and_hour(self, make: Maker) -> None:
        watch = Watch()
        for at in (0, 300, 600, 3000):
            watch.feed(*make.scan(at))
        assert len(watch.alerts) == 1
        assert watch.engine.counters.repeated > 0
        watch.feed(*make.scan(3700))
        assert len(watch.alerts) == 2
        watch.feed(*make.scan(3800, host="ip:other"))
        assert [alert.device for alert in watch.alerts] == ["ip:ws", "ip:ws", "ip:other"]
        assert len({alert.id for alert in watch.alerts}) == 3

    def test_two_kinds_are_two_alerts(self, make: Maker) -> None:
        watch = Watch().feed(*make.scan())
        watch.feed(*(make.flow(40 + n, destination=f"ip:{n}", destination_port=445, state="S0") for n in range(25)))
        assert len(watch.alerts) == 2
        assert len({alert.kind for alert in watch.alerts}) == 2

    def test_late_and_unbelievable_events_still_meet_the_rules(self, make: Maker) -> None:
        watch = Watch().feed(make.flow(7200, "ip:other"))
        watch.feed(*make.scan(0))
        assert watch.engine.counters.late == 60
        assert watch.titles == ["Port scan"]

    def test_rules_below_medium_are_counted_and_do_not_alert(self, make: Maker, tmp_path: Path) -> None:
        (tmp_path / "seen.yml").write_text(
            "title: A question\nid: 2f0c7a52-6f0e-4d0e-9d1a-2f1d7c1f4b11\nstatus: test\n"
            "logsource: {product: healthcare, service: dns}\n"
            "detection: {any: {dns.question.type: A}, condition: any}\nlevel: low\n"
            "custom: {risk: 5, runbook: none, first_steps: [Look.]}\n"
        )
        alerts: list[Alert] = []
        engine = Engine(RuleSet.load(tmp_path), alerts.append)
        engine.feed(make.dns(question_type="A"))
        assert (alerts, engine.counters.quiet_hits) == ([], 1)


def site(folder: Path, *documents: dict[str, object]) -> RuleSet:
    return RuleSet(load(folder, *documents))


class TestWhatIsTold:
    def test_an_absence_is_told_of_its_own_event(self, make: Maker, tmp_path: Path) -> None:
        """Whose event made it due is not accused."""
        audit, asked = {"service": "dicom_audit"}, {"service": "ai_inference"}
        absent = {
            "title": "Absent", "id": identity("absent"), "level": "medium",
            "custom": {"suppress": {"by": ["source.address"], "for": "1h"}},
            "correlation": {
                "type": "temporal_without", "rules": ["asked", "came"], "group-by": ["nigrani.study"], "timespan": "10m",
                "patience": "1m",
            },
        }  # fmt: skip
        documents = [
            rule("asked", logsource=asked, detection={"any": {"event.action": "predict"}, "condition": "any"}),
            rule("came", logsource=audit, detection={"any": {"event.action": "store"}, "condition": "any"}),
            absent,
        ]
        alerts: list[Alert] = []
        engine = Engine(site(tmp_path, *documents), alerts.append)
        for number in range(20):
            engine.feed(make.audit(number * 60, "ip:ct", study=f"s{number}"))
            engine.feed(make.ai(number * 60 + 5, "ip:ws", study=f"s{number}"))
        engine.feed(make.ai(1205, "ip:thief", study="ghost"))
        engine.feed(make.ai(1206, "ip:thief", study="ghost 2"))
        assert alerts == []
        for more in range(3):
            engine.feed(make.audit(1300 + more, "ip:ct", study=f"s9{more}"))
        [alert] = alerts
        assert (alert.device, alert.about[0]) == ("ip:thief", "ip:thief")
        assert (alert.when - make.ai(1205).timestamp).total_seconds() == 0
        assert alert.because[1] == "nigrani.study = ghost"
        assert engine.counters.held == {(identity("absent"), "suppressed"): 1}


class TestHeldBack:
    def test_a_suppressed_match_neither_alerts_nor_repeats(self, make: Maker, tmp_path: Path) -> None:
        alerts: list[Alert] = []
        custom = {"suppress": {"by": ["dicom.calling_ae"], "for": "10m"}}
        engine = Engine(site(tmp_path, rule(custom=custom)), alerts.append)
        for at, title in ((0, "CT"), (60, "CT"), (120, "MR"), (600, "CT"), (660, "CT")):
            engine.feed(make.dicom("c-find", at, f"ip:{at}", calling_ae=title))
        assert [(alert.device, alert.when.minute) for alert in alerts] == [("ip:0", 0), ("ip:120", 2), ("ip:600", 10)]
        assert alerts[2].because == ["event.action = c-find", "1 more like it did not alert since the last one that did"]
        assert len({alert.id for alert in alerts}) == 3
        assert engine.counters.repeated == 0
        assert engine.counters.held == {(identity("query"), "suppressed"): 2}

    def test_a_replay_gives_the_same_ids(self, make: Maker, tmp_path: Path) -> None:
        custom = {"suppress": {"by": ["host.id"], "for": "30m"}}
        events = [make.dicom("c-find", at) for at in range(0, 7200, 300)]
        found = []
        for _ in range(2):
            alerts: list[Alert] = []
            engine = Engine(site(tmp_path, rule(custom=custom)), alerts.append)
            for event in events:
                engine.feed(event)
            found.append([alert.id for alert in alerts])
        assert found[0] == found[1]
        assert len(found[0]) == 4

    def test_shadow_and_expired_rules_lay_no_risk_either(self, make: Maker, tmp_path: Path) -> None:
        alerts: list[Alert] = []
        shadow = rule("shadow", level="low", custom={"stage": "shadow", "risk": 100})
        expired = rule("old", level="low", custom={"expires": "2026-03-01", "risk": 100})
        engine = Engine(site(tmp_path, shadow, expired), alerts.append)
        engine.feed(make.dicom("c-find"))
        assert not alerts
        assert engine.counters.held == {(identity("shadow"), "shadow"): 1, (identity("old"), "expired"): 1}
        assert engine.counters.quiet_hits == 0

    def test_kept_state_suppresses_on(self, make: Maker, tmp_path: Path) -> None:
        custom = {"suppress": {"by": ["host.id"], "for": "1d"}}
        first, second = (Engine(site(tmp_path, rule(custom=custom)), lambda alert: None) for _ in range(2))
        first.feed(make.dicom("c-find"))
        second.resume(msgspec.msgpack.decode(msgspec.msgpack.encode(first.state()), type=module.State))
        second.feed(make.dicom("c-find", 3700))
        assert second.counters.held == {(identity("query"), "suppressed"): 1}

    def test_a_state_of_before_there_were_stories_is_taken(self) -> None:
        kept = msgspec.to_builtins(Watch().engine.state())
        del kept["passed"]
        Watch().engine.resume(msgspec.convert(kept, module.State))


class TestSilence:
    """Reports of two agents, of which one stops, on a machine whose time goes as theirs does."""

    def engine(self, alerts: list[Alert], clock: list[float]) -> Engine:
        engine = Engine(load_rules(), alerts.append)
        engine.silence = Silence(engine.counters, lambda: clock[0])
        return engine

    def go(self, engine: Engine, make: Maker, clock: list[float], minutes: range, *, takes: float = 60) -> None:
        for minute in minutes:
            clock[0] += takes
            for agent in ("a", "b") if minute < 5 else ("a",):
                engine.feed(make.status(60 * minute, f"host:{agent}", agent=agent))

    def test_an_agent_that_stops_is_told_of_once(self, make: Maker) -> None:
        alerts: list[Alert] = []
        clock = [0.0]
        self.go(self.engine(alerts, clock), make, clock, range(60))
        [alert] = alerts
        assert (alert.kind, alert.title, alert.device) == ("agent-silent", "An agent has fallen silent", "host:b")
        assert alert.when - alert.first == timedelta(seconds=PATIENCE)
        assert alert.because == [
            "agent b reported last at 2026-03-02 08:04:00 UTC",
            "others have reported for more than 10 minutes since",
        ]
        assert (alert.runbook, alert.attack, bool(alert.first_steps)) == ("agent-silent", ["T1685"], True)
        assert alert.ocsf()

    def test_it_is_told_over_a_restart(self, make: Maker) -> None:
        alerts: list[Alert] = []
        clock = [0.0]
        first, second = self.engine(alerts, clock), self.engine(alerts, clock)
        self.go(first, make, clock, range(10))
        second.resume(msgspec.msgpack.decode(msgspec.msgpack.encode(first.state()), type=module.State))
        self.go(second, make, clock, range(10, 40))
        assert [(alert.kind, alert.device) for alert in alerts] == [("agent-silent", "host:b")]

    def test_a_replay_tells_of_none(self, make: Maker) -> None:
        alerts: list[Alert] = []
        clock = [0.0]
        engine = self.engine(alerts, clock)
        self.go(engine, make, clock, range(120), takes=0.01)
        engine.close()
        assert not alerts

    def test_a_state_of_before_reports_were_remembered_is_taken(self) -> None:
        kept = msgspec.to_builtins(Watch().engine.state())
        del kept["heard"]
        Watch().engine.resume(msgspec.convert(kept, module.State))


class TestOtherRules:
    def test_counts_of_the_same_rules_go_on(self, make: Maker, tmp_path: Path) -> None:
        alerts: list[Alert] = []
        base, burst = rule(id=None, level=None), counting()
        engine = Engine(site(tmp_path, base, burst), alerts.append)
        for at in range(2):
            engine.feed(make.dicom("c-find", at))
        engine.use(site(tmp_path, base, burst, rule("other", detection={"s": {"event.action": "x"}, "condition": "s"})))
        engine.feed(make.dicom("c-find", 2))
        assert [alert.title for alert in alerts] == ["Title of burst"]

    def test_a_changed_rule_begins_anew(self, make: Maker, tmp_path: Path) -> None:
        alerts: list[Alert] = []
        base = rule(id=None, level=None)
        engine = Engine(site(tmp_path, base, counting()), alerts.append)
        for at in range(2):
            engine.feed(make.dicom("c-find", at))
        narrow = {"sel": {"event.action": "c-find", "dicom.calling_ae": "WS"}, "condition": "sel"}
        engine.use(site(tmp_path, rule(id=None, level=None, detection=narrow), counting()))
        for at in (2, 3):
            engine.feed(make.dicom("c-find", at))
        assert not alerts
        engine.feed(make.dicom("c-find", 4))
        assert len(alerts) == 1


def test_a_flow_is_scored_where_a_rule_asks_how_rare_it_is(make: Maker, learnt: Learnt, tmp_path: Path) -> None:
    rare = {"sel": {"p_value|lte": 0.05, "nigrani.destination.zone": "internet"}, "condition": "sel"}
    alerts: list[Alert] = []
    rules = site(tmp_path, rule(logsource={"service": "flow"}, detection=rare))
    engine = Engine(rules, alerts.append, learnt.knowledge)
    engine.feed(theft(make, learnt.end))
    engine.feed(make.flow(learnt.end, "ip:ws2", destination="ip:server0"))
    assert [alert.device for alert in alerts if alert.source == "rule"] == ["ip:ws1"]
    assert alerts[0].because[0].startswith("p_value = ")
    assert len(alerts[0].because[0]) < 20
    unscored = Engine(rules, pytest.fail)
    unscored.feed(theft(make, learnt.end))


class TestClasses:
    def engine(self, folder: Path, alerts: list[Alert], knowledge: Knowledge | None, **named: dict[str, str]) -> Engine:
        asks = {"sel": {"event.action": "c-find", "source.class": "workstation"}, "condition": "sel"}
        rules = site(folder, rule(detection=asks), counting(rules=["query"], group_by=["source.address"]))
        return Engine(rules, alerts.append, knowledge, devices=Devices(**named))

    def queries(self, make: Maker, at: float, host: str = "ip:ws1") -> list[Event]:
        return [make.dicom("c-find", at + 10 * number, host) for number in range(3)]

    @pytest.fixture
    def knowledge(self, learnt: Learnt) -> Knowledge:
        return learnt.knowledge._replace(classes=DeviceClasses.build({"ip:ws1": "workstation", "ip:ws2": "lab"}))

    def test_rules_ask_them_and_alerts_tell_them(self, make: Maker, knowledge: Knowledge, tmp_path: Path) -> None:
        alerts: list[Alert] = []
        engine = self.engine(tmp_path, alerts, knowledge)
        for host in ("ip:ws1", "ip:ws2", "ip:new"):
            for event in self.queries(make, 0, host):
                engine.feed(event)
        assert [(alert.device, alert.device_class) for alert in alerts] == [("ip:ws1", "workstation")]
        assert "the originator is where images are read (workstation)" in alerts[0].because

    def test_what_a_device_does_later_does_not_change_it(self, make: Maker, knowledge: Knowledge, tmp_path: Path) -> None:
        alerts: list[Alert] = []
        engine = self.engine(tmp_path, alerts, knowledge)
        for number in range(50):
            engine.feed(make.dicom("c-find-rsp", number, "ip:new", status="FF00"))
        for event in self.queries(make, 60, "ip:new"):
            engine.feed(event)
        assert not alerts

    def test_the_site_names_them(self, make: Maker, knowledge: Knowledge, tmp_path: Path) -> None:
        alerts: list[Alert] = []
        engine = self.engine(tmp_path, alerts, knowledge, tokens={"ip:ws1": "lab", "ip:new": "workstation"})
        for event in (*self.queries(make, 0), *self.queries(make, 40, "ip:new")):
            engine.feed(event)
        assert {alert.device for alert in alerts} == {"ip:new"}

    def test_they_are_known_once_a_baseline_is(self, make: Maker, knowledge: Knowledge, tmp_path: Path) -> None:
        alerts: list[Alert] = []
        engine = self.engine(tmp_path, alerts, None)
        for event in self.queries(make, 0):
            engine.feed(event)
        assert not alerts
        engine.learn(knowledge)
        for event in self.queries(make, 60):
            engine.feed(event)
        assert alerts

    def test_a_restart_in_the_middle_changes_nothing(self, make: Maker, knowledge: Knowledge, tmp_path: Path) -> None:
        named = {"zones": {"clinical": "workstation"}}
        events = in_time([*self.queries(make, 0), *self.queries(make, 30, "ip:ws2"), *make.scan(40, "ip:ws1")])
        whole: list[Alert] = []
        engine = self.engine(tmp_path, whole, knowledge, **named)
        for event in events:
            engine.feed(event)
        for cut in range(0, len(events), 7):
            parts: list[Alert] = []
            first, second = (self.engine(tmp_path, parts, knowledge, **named) for _ in range(2))
            for event in events[:cut]:
                first.feed(event)
            second.resume(msgspec.msgpack.decode(msgspec.msgpack.encode(first.state()), type=State))
            for event in events[cut:]:
                second.feed(event)
            assert [msgspec.json.encode(alert.ocsf()) for alert in parts] == [msgspec.json.encode(a.ocsf()) for a in whole]


class TestWithoutKnowledge:
    def test_there_are_no_anomalies(self, make: Maker) -> None:
        watch = Watch().feed(*hour(make, 0, theft(make, 300))).close()
        assert (watch.alerts, watch.engine.counters.windows_judged, watch.engine.counters.flows_scored) == ([], 0, 0)
        assert not watch.engine.knows

    def test_nothing_is_new(self, make: Maker) -> None:
        watch = Watch().feed(make.dicom("associate", calling_ae="ROGUE"), make.ai(host="ip:x"), make.hl7(host="ip:x"))
        assert watch.close().alerts == []

    def test_rules_that_ask_what_is_new_speak_once_there_is_knowledge(self, make: Maker, learnt: Learnt) -> None:
        watch = Watch().feed(make.dicom("associate", host="ip:ws1", calling_ae="ROGUE"))
        watch.engine.learn(learnt.knowledge)
        watch.feed(make.dicom("associate", 5, "ip:ws1", calling_ae="ROGUE"))
        assert [alert.source for alert in watch.alerts] == ["rule"]
        assert watch.alerts[0].model == learnt.knowledge.fingerprint
        assert "never seen before" in watch.alerts[0].text()


class TestAnomalies:
    def test_only_after_the_minute_is_over(self, make: Maker, learnt: Learnt) -> None:
        watch = Watch(learnt.knowledge)
        at = learnt.end + 300
        watch.feed(*hour(make, learnt.end, minutes=5), theft(make, at + 10))
        watch.feed(make.flow(at + WINDOW + LATENESS - 0.01, "ip:ws0", destination="ip:server0"))
        assert watch.alerts == []
        watch.feed(make.flow(at + WINDOW + LATENESS, "ip:ws0", destination="ip:server0"))
        [alert] = watch.alerts
        assert (alert.source, alert.device, alert.kind) == ("anomaly", "ip:ws1", "anomaly-exfiltration")
        assert alert.when == make.start + timedelta(seconds=at + WINDOW)
        assert alert.first == make.start + timedelta(seconds=at)
        assert alert.zone == "clinical"

    def test_reasons_are_values_beside_what_is_usual(self, make: Maker, learnt: Learnt) -> None:
        watch = Watch(learnt.knowledge).feed(*hour(make, learnt.end, theft(make, learnt.end + 300))).close()
        [alert] = watch.alerts
        lead = alert.reasons[0]
        assert lead.feature == "bytes sent to the internet"
        assert lead.value == 5 * 10**9
        assert (lead.p50, lead.p99, lead.own) == (0, 0, True)
        assert lead.once_in == lead.minutes + 1
        sent = next(reason for reason in alert.reasons if reason.feature == "bytes sent")
        assert 5 * 10**9 <= sent.value < 5.1 * 10**9
        assert 0 < sent.p50 < sent.p99 < 10**6
        assert alert.first_steps
        assert alert.runbook == "anomaly-exfiltration"
        assert 0 < alert.risk <= 100
        assert alert.p_value is not None
        assert alert.p_value <= budget_p(7, learnt.knowledge.minutes_per_week)
        assert alert.false_alarms_per_week == alert.p_value * learnt.knowledge.minutes_per_week
        assert alert.false_alarms_per_week <= 7
        assert alert.budget == 7

    def test_benign_minutes_raise_none(self, make: Maker, learnt: Learnt) -> None:
        """The budget is one false alarm in 7,100 minutes; of 290, more than one has odds of 1 in 1,200."""
        watch = Watch(learnt.knowledge).feed(*make.morning(60, seed=3, at=learnt.end)).close()
        assert watch.engine.counters.windows_judged > 250
        assert len(watch.alerts) <= 1

    def test_a_larger_budget_never_tells_less(self, make: Maker, learnt: Learnt) -> None:
        events = hour(make, learnt.end, theft(make, learnt.end + 300))
        counts = [len(Watch(learnt.knowledge, budget).feed(*events).close().alerts) for budget in (1e-3, 0.1, 7.0, 1e3, 1e6)]
        assert counts == sorted(counts)
        assert counts[0] <= 1 <= counts[2]
        assert counts[-1] > 3

    def test_near_a_rules_alert_it_is_more_evidence(self, make: Maker, learnt: Learnt) -> None:
        at = learnt.end + 300
        watch = Watch(learnt.knowledge).feed(
            *hour(make, learnt.end, *make.scan(at, "ip:ws1"), copy(make, at + 120), copy(make, at + 120, "ip:ws2"))
        )
        assert {alert.source for alert in watch.alerts if alert.device == "ip:ws1"} == {"rule"}
        assert watch.engine.counters.merged >= 1
        assert [alert.device for alert in watch.close().anomalies] == ["ip:ws2"], "another device is another story"

    def test_a_theft_is_told_whatever_else_was(self, make: Maker, learnt: Learnt) -> None:
        """A noisy scan must not hide it."""
        at = learnt.end + 300
        watch = Watch(learnt.knowledge).feed(*hour(make, learnt.end, *make.scan(at, "ip:ws1"), theft(make, at + 120)))
        assert [alert.kind for alert in watch.close().anomalies] == ["anomaly-exfiltration"]

    def test_long_after_a_rules_alert_it_is_its_own(self, make: Maker, learnt: Learnt) -> None:
        at = learnt.end + 60
        events = hour(make, learnt.end, *make.scan(at, "ip:ws1"), theft(make, at + 120 + MERGE, "ip:ws1"), minutes=20)
        watch = Watch(learnt.knowledge).feed(*events).close()
        assert [alert.device for alert in watch.anomalies] == ["ip:ws1"]

    def test_one_alert_a_device_and_hour(self, make: Maker, learnt: Learnt) -> None:
        thefts = [theft(make, 3700 + 240 * number) for number in range(5)]
        watch = Watch(learnt.knowledge).feed(*hour(make, 3600, *thefts, minutes=30)).close()
        assert len(watch.anomalies) == 1
        assert watch.engine.counters.repeated == 4

    def test_a_rules_alert_shows_the_devices_minute(self, make: Maker, learnt: Learnt) -> None:
        watch = Watch(learnt.knowledge).feed(*hour(make, learnt.end, *make.scan(learnt.end + 300, "ip:ws1")))
        scan = next(alert for alert in watch.alerts if alert.title.startswith("Port scan"))
        assert "destination ports" in {reason.feature for reason in scan.reasons}

    def test_flows_are_scored_in_batches_before_their_minute_is_judged(self, make: Maker, learnt: Learnt) -> None:
        watch = Watch(learnt.knowledge)
        flood = [make.flow(learnt.end + number / 100, "ip:ws1", destination="ip:server0") for number in range(BATCH + 7)]
        watch.feed(*flood[:BATCH])
        assert watch.engine.counters.flows_scored == BATCH
        watch.feed(*flood[BATCH:]).close()
        assert watch.engine.counters.flows_scored == BATCH + 7

    def test_a_device_never_met_is_held_to_the_site(self, make: Maker, learnt: Learnt) -> None:
        watch = Watch(learnt.knowledge).feed(*hour(make, learnt.end, theft(make, learnt.end + 300, "ip:stranger"))).close()
        [alert] = [alert for alert in watch.anomalies if alert.device == "ip:stranger"]
        assert not any(reason.own for reason in alert.reasons)


class TestOrder:
    def test_anomalies_come_by_minute_and_device(self, make: Maker, learnt: Learnt) -> None:
        at = learnt.end + 300
        thefts = [theft(make, at + 60 * minute, f"ip:ws{number}") for minute, number in ((2, 0), (0, 3), (0, 1), (1, 2))]
        watch = Watch(learnt.knowledge).feed(*hour(make, learnt.end, *thefts)).close()
        assert [alert.device for alert in watch.anomalies] == ["ip:ws1", "ip:ws3", "ip:ws2", "ip:ws0"]

    def test_a_rule_is_told_before_the_anomaly_of_its_time(self, make: Maker, learnt: Learnt) -> None:
        at = learnt.end + 300
        watch = Watch(learnt.knowledge).feed(*hour(make, learnt.end, theft(make, at), *make.scan(at + 20, "ip:ws2"))).close()
        assert [(alert.source, alert.device) for alert in watch.alerts][-1] == ("anomaly", "ip:ws1")
        assert watch.alerts[0].source == "rule"


class TestReplay:
    def test_twice_is_the_same(self, make: Maker, learnt: Learnt) -> None:
        at = learnt.end + 300
        events = hour(
            make, learnt.end, theft(make, at), *make.scan(at + 20, "ip:ws2"), *make.scan(at + 20, "ip:new"),
            make.dicom("associate", at + 60, "ip:ws3", calling_ae="ROGUE"), make.hl7(at + 70, "ip:ws0"),
        )  # fmt: skip
        first, second = (Watch(learnt.knowledge).feed(*events).close().wire() for _ in range(2))
        assert len(first) >= 4
        assert first == second

    def test_through_the_wire_is_the_same(self, make: Maker, learnt: Learnt) -> None:
        at = learnt.end + 300
        events = hour(make, learnt.end, theft(make, at), *make.scan(at + 20, "ip:ws2"))
        again = [decode(msgspec.json.encode(event)) for event in events]
        assert Watch(learnt.knowledge).feed(*events).close().wire() == Watch(learnt.knowledge).feed(*again).close().wire()

    def test_a_replay_repeats_ids_and_another_hour_does_not(self, make: Maker) -> None:
        first = Watch().feed(*make.scan())
        second = Watch().feed(*type(make)().scan(30))
        third = Watch().feed(*make.scan(EPISODE))
        assert first.alerts[0].id == second.alerts[0].id != third.alerts[0].id

    def test_an_event_twice_does_not_alert_twice(self, make: Maker) -> None:
        scan = make.scan()
        assert len(Watch().feed(*scan, *scan).alerts) == 1


class TestBounds:
    def test_episodes_are_bounded_and_counted(self, make: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "MAX_ALERTS", 3)
        watch = Watch()
        for number in range(5):
            watch.feed(*make.scan(number, f"ip:{number}"))
        assert len(watch.alerts) == 5
        assert len(watch.engine._episodes) == len(watch.engine._alerted) == 3
        assert watch.engine.counters.forgotten == 2
        watch.feed(*make.scan(60, "ip:4"))
        assert len(watch.alerts) == 5, "the newest are remembered"

    def test_past_episodes_are_let_go(self, make: Maker) -> None:
        watch = Watch()
        for number in range(1100):
            watch.engine._episodes[f"old{number}"] = make.start.timestamp()
            watch.engine._alerted[f"old{number}"] = make.start.timestamp()
        watch.feed(*(make.flow(2 * REMEMBER + after) for after in (0, WINDOW + LATENESS)))
        assert not watch.engine._episodes
        assert not watch.engine._alerted

    def test_zones_are_bounded(self, make: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "MAX_DEVICES", 3)
        watch = Watch().feed(*(make.flow(number, f"ip:{number}") for number in range(9)))
        assert len(watch.engine._zones) == 3
        watch.feed(make.flow(10, "ip:0", source_zone="guests"))
        assert watch.engine._zones["ip:0"] == "guests"


RULES = load_rules()


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_no_event_ends_the_engine(
    edge_lines: dict[str, st.SearchStrategy[bytes]], learnt: Learnt, data: st.DataObject
) -> None:
    """Whatever decodes is taken, judged, and told of in valid JSON and printable text."""
    alerts: list[Alert] = []
    engine = Engine(RULES, alerts.append, data.draw(st.sampled_from([learnt.knowledge, None])), 1e6)
    for line in data.draw(st.lists(st.one_of(*edge_lines.values()), max_size=12)):
        engine.feed(decode(line))
    engine.close()
    for alert in alerts:
        json.loads(json.dumps(alert.ocsf(), allow_nan=False))
        assert all(letter.isprintable() or letter == "\n" for letter in alert.text())


STRANGE = {
    "a count beyond 64 bits": ("hl7", {"nigrani.count": 2**64}),
    "a count beyond every float": ("hl7", {"nigrani.count": 10**400}),
    "bytes beyond every float": ("flow", {"nigrani.source.payload_bytes": 10**400}),
    "a time without a zone": ("flow", {"@timestamp": "2026-03-02T08:00:00"}),
    "year one without a zone": ("flow", {"@timestamp": "0001-01-01T00:00:00"}),
}


@pytest.mark.parametrize(("kind", "changed"), STRANGE.values(), ids=STRANGE)
def test_what_would_end_the_engine_or_mean_another_time_elsewhere_is_no_event(
    make: Maker, kind: str, changed: dict[str, object]
) -> None:
    line = json.dumps(json.loads(msgspec.json.encode(getattr(make, kind)())) | changed).encode()
    with pytest.raises(ValueError, match="Expected"):
        decode(line)
