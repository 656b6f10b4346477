"""One detector on one bus: it learns, keeps what it learnt, judges, writes alerts down, and goes on where it ended."""

from __future__ import annotations

import json
import stat
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
import pytest

from detector import learn
from detector.alert import Alert
from detector.checkpoints.folder import FolderCheckpoints
from detector.config import Alerts, Baseline, Checkpoints, DetectorConfig, RuleFiles
from detector.service import Service
from detector.setup import file_outbox, load_knowledge, save_baseline
from nigrani.service.errors import BadConfig, Problem
from nigrani.service.key import state_folder
from nigrani.stream.codec import encode_lines
from nigrani.stream.feed import SpoolFeed
from nigrani.stream.memory import MemoryBus
from nigrani.stream.spool import Spool, SpoolReader
from tests.detector.rule_files import rule, write

if TYPE_CHECKING:
    from nigrani.stream.bus import Publisher, Reader
    from nigrani.stream.event import Event
    from tests.detector.conftest import Learnt, Maker


class Bus(Protocol):
    """A bus with one writer, and where its readers come from."""

    @property
    def publisher(self) -> Publisher: ...

    def reader(self) -> Reader: ...

    def reader_of(self, group: str) -> Reader: ...


class InMemory:
    def __init__(self) -> None:
        self.publisher = MemoryBus()

    def reader(self) -> Reader:
        return self.reader_of("detector")

    def reader_of(self, group: str) -> Reader:
        return self.publisher.reader(group)


class OnDisk:
    def __init__(self, path: Path) -> None:
        self._path = path
        self.publisher = Spool.open(path)

    def reader(self) -> Reader:
        return self.reader_of("detector")

    def reader_of(self, group: str) -> Reader:
        return SpoolReader(self._path, group)


@pytest.fixture(params=["memory", "spool"])
def bus(request: pytest.FixtureRequest, tmp_path: Path) -> Bus:
    return InMemory() if request.param == "memory" else OnDisk(tmp_path / "bus")


def start(config: DetectorConfig, reader: Reader, tell: Callable[[Alert], None] | None = None) -> Service:
    outbox = file_outbox(config.alerts.path or state_folder() / "alerts.ndjson")
    return Service(config, SpoolFeed(reader), FolderCheckpoints(state_folder() / "checkpoints", "detector"), outbox, tell)


def publish(bus: Bus, events: Sequence[Event], size: int = 100) -> None:
    for start in range(0, len(events), size):
        batch = events[start : start + size]
        bus.publisher.publish(encode_lines(batch), len(batch))


def drain(service: Service) -> int:
    count = 0
    while step := service.step():
        count += step
    return count


def value(service: Service, name: str, **labels: str) -> float | None:
    return service.metrics.registry.get_sample_value(name, labels)


def written(state: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (state / "alerts.ndjson").read_bytes().splitlines()]


def config(**baseline: Any) -> DetectorConfig:
    return DetectorConfig(baseline=Baseline(**{"learn_minutes": 40} | baseline), checkpoints=Checkpoints(seconds=0))


def story(make: Maker, learnt: Learnt) -> list[Event]:
    """A benign morning, and after the lesson a theft that no rule tells of and a scan that one does."""
    later = make.morning(20, seed=5, at=learnt.end)
    bad = [
        make.flow(
            learnt.end + 300, "ip:ws1", destination="ip:server0", destination_zone="internet", source_payload=5 * 10**9
        ),
        *make.scan(learnt.end + 600, "ip:ws2"),
    ]
    return sorted([*make.morning(40), *later, *bad], key=lambda event: event.timestamp)


def test_it_learns_keeps_the_baseline_and_judges(make: Maker, learnt: Learnt, bus: Bus, state: Path) -> None:
    told: list[Alert] = []
    service = start(config(), bus.reader(), told.append)
    assert service.learning
    assert value(service, "nigrani_baseline_learning") == 1
    events = story(make, learnt)
    publish(bus, events)
    assert service.lag() == len(events)
    assert drain(service) == len(events)
    assert not service.learning
    assert service.learnt["devices"] == 5
    assert value(service, "nigrani_baseline_learning") == 0
    service.close()

    assert load_knowledge(state / "baseline.npz").minutes_per_week > 0
    found = written(state)
    assert {finding["class_uid"] for finding in found} == {2004}
    assert {finding["resources"][0]["uid"] for finding in found} == {"ip:ws1", "ip:ws2"}
    assert [finding["metadata"]["uid"] for finding in found] == [alert.id for alert in told]
    assert service.alerts == len(found)
    assert value(service, "nigrani_alerts_total", source="anomaly", kind="anomaly-exfiltration", severity="high") == 1
    assert value(service, "nigrani_alerts_total", source="rule", kind="port_scan", severity="high") == 1
    assert value(service, "nigrani_events_total", dataset="hl7.message") == service.totals[type(make.hl7())]
    assert value(service, "nigrani_bus_lag_events") == 0
    assert value(service, "nigrani_event_time_seconds") == pytest.approx(events[-1].timestamp.timestamp())


def test_while_it_learns_rules_alone_alert(make: Maker, bus: Bus, state: Path) -> None:
    service = start(config(), bus.reader())
    publish(bus, make.scan(host="ip:ws0"))
    drain(service)
    assert service.learning
    assert [finding["finding_info"]["analytic"]["type_id"] for finding in written(state)] == [1]
    service.close()


def test_two_runs_over_the_same_events_write_the_same_alerts(
    make: Maker, learnt: Learnt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = []
    events = story(make, learnt)
    for size in (100, 7):
        folder = tmp_path / str(size)
        monkeypatch.setenv("NIGRANI_STATE", str(folder))
        bus = InMemory()
        service = start(config(), bus.reader())
        publish(bus, events, size)
        drain(service)
        service.close()
        outcomes.append(written(folder))
        for finding in outcomes[-1]:
            assert abs(finding["metadata"].pop("logged_time") / 1000 - time.time()) < 300, "the one thing that is of now"
    assert outcomes[0]
    assert outcomes[0] == outcomes[1]


def test_with_a_baseline_it_judges_from_the_start(make: Maker, learnt: Learnt, bus: Bus, state: Path) -> None:
    save_baseline(learnt.baseline, state / "baseline.npz")
    service = start(config(), bus.reader())
    assert not service.learning
    publish(bus, [make.dicom("associate", learnt.end, "ip:ws1", calling_ae="ROGUE")])
    drain(service)
    service.close()
    assert [finding["unmapped"]["model"] for finding in written(state)] == [learnt.knowledge.fingerprint]


def test_learn_minutes_0_never_learns(make: Maker, bus: Bus, state: Path) -> None:
    service = start(config(learn_minutes=0), bus.reader())
    assert not service.learning
    publish(bus, make.morning(45))
    drain(service)
    service.close()
    assert not (state / "baseline.npz").exists()


def test_too_little_to_learn_from_starts_the_lesson_anew(
    make: Maker, bus: Bus, state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    service = start(config(), bus.reader())
    publish(bus, [make.hl7(at) for at in (0, 1200, 2400)])
    drain(service)
    assert service.learning
    assert "nothing learnt yet" in caplog.text
    assert not (state / "baseline.npz").exists()
    publish(bus, make.morning(41, at=2400))
    drain(service)
    assert not service.learning
    service.close()


def test_a_full_lesson_is_over(make: Maker, bus: Bus, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy site has more events than a lesson holds, long before its minutes are over."""
    monkeypatch.setattr(learn, "MAX_EVENTS", 1000)
    service = start(config(learn_minutes=7 * 24 * 60), bus.reader())
    publish(bus, make.morning(40))
    drain(service)
    assert not service.learning
    assert service.learnt["events"] == 1000
    service.close()


def test_one_clock_years_ahead_does_not_end_the_lesson(make: Maker, bus: Bus, state: Path) -> None:
    service = start(config(), bus.reader())
    publish(bus, [*make.morning(20), make.flow(20 * 365 * 86400)])
    drain(service)
    assert service.learning
    assert not (state / "baseline.npz").exists()
    service.close()


def test_a_restart_begins_the_lesson_again(make: Maker, bus: Bus, state: Path) -> None:
    """Half a lesson must not be lost: the bus still has it."""
    first = start(config(), bus.reader())
    publish(bus, make.morning(20))
    seen = drain(first)
    first.close()
    second = start(config(), bus.reader())
    assert second.lag() == seen
    second.close()


def test_an_event_that_was_not_foreseen_does_not_end_the_service(
    make: Maker, bus: Bus, state: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    service = start(config(), bus.reader())

    def fail(event: Event) -> None:
        raise RuntimeError(event.id)

    monkeypatch.setattr(service.shares[0].engine, "feed", fail)
    publish(bus, [make.flow(), make.flow(1)])
    assert drain(service) == 2
    assert value(service, "nigrani_events_failed_total") == 2
    assert caplog.text.count("could not be judged") == 1
    monkeypatch.undo()
    service.close()


def test_refused_lines_are_counted_and_told_once(
    make: Maker, bus: Bus, state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    service = start(config(), bus.reader())
    good = encode_lines([make.flow(), make.ai()])
    bus.publisher.publish(b"not json\n" + good + b'{"event.dataset": "no.such"}\n', 4)
    assert service.step() == 2
    assert service.refused == 2
    assert value(service, "nigrani_events_refused_total") == 2
    assert caplog.text.count("is no event") == 1
    service.close()


def test_dropped_batches_are_counted(make: Maker, state: Path) -> None:
    bus = MemoryBus(max_bytes=20_000)
    reader = bus.reader("detector")
    service = start(config(), reader)
    for event in make.morning(10):
        bus.publish(encode_lines([event]), 1)
    drain(service)
    assert bus.dropped_events > 0
    assert value(service, "nigrani_events_missed_total") == bus.dropped_events
    bus.publish(encode_lines([make.flow(600)]), 1)
    drain(service)
    assert value(service, "nigrani_events_missed_total") == reader.missed_events, "counted once"
    service.close()


def test_a_restart_goes_on_where_it_ended(make: Maker, bus: Bus, state: Path) -> None:
    first = start(config(learn_minutes=0), bus.reader())
    publish(bus, [make.flow(n, "ip:ws0") for n in range(30)], 10)
    assert drain(first) == 30
    publish(bus, [make.flow(n, "ip:ws0") for n in range(30, 50)], 10)
    first.close()
    second = start(config(learn_minutes=0), bus.reader())
    assert second.lag() == 20
    assert drain(second) == 20
    assert drain(second) == 0
    second.close()


def test_a_restart_keeps_what_was_alerted(make: Maker, bus: Bus, state: Path) -> None:
    for host in ("ip:ws0", "ip:ws1"):
        service = start(config(learn_minutes=0), bus.reader())
        publish(bus, make.scan(host=host))
        drain(service)
        service.close()
    assert [finding["resources"][0]["uid"] for finding in written(state)] == ["ip:ws0", "ip:ws1"]


def test_a_restart_loads_what_was_learnt(make: Maker, learnt: Learnt, bus: Bus, state: Path) -> None:
    service = start(config(), bus.reader())
    publish(bus, make.morning(41))
    drain(service)
    service.close()
    again = start(config(), bus.reader())
    assert not again.learning
    assert again.knows
    again.close()


def put_in_the_way(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")


REFUSED: dict[str, tuple[Callable[[Path], object], Callable[[Path], DetectorConfig], str]] = {
    "alerts where a folder is": (
        lambda state: (state / "alerts.ndjson").mkdir(parents=True),
        lambda state: config(),
        r"alerts\.path .*: Is a directory",
    ),
    "alerts under a file": (
        lambda state: put_in_the_way(state / "file"),
        lambda state: DetectorConfig(alerts=Alerts(path=state / "file" / "alerts.ndjson")),
        r"alerts\.path .*: (Not a directory|File exists)",
    ),
    "a baseline that is none": (
        lambda state: put_in_the_way(state / "baseline.npz"),
        lambda state: config(),
        r"baseline\.npz: the file is not a baseline",
    ),
}


@pytest.mark.parametrize(("prepare", "settings", "told"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_used_is_told_at_the_start(
    state: Path,
    prepare: Callable[[Path], object],
    settings: Callable[[Path], DetectorConfig],
    told: str,
) -> None:
    prepare(state)
    with pytest.raises(Problem, match=told):
        start(settings(state), InMemory().reader())


def test_a_baseline_altered_since_is_told_at_the_start(learnt: Learnt, state: Path) -> None:
    path = state / "baseline.npz"
    save_baseline(learnt.baseline, path)
    data = bytearray(path.read_bytes())
    data[1000] ^= 1
    path.write_bytes(data)
    with pytest.raises(Problem, match="altered after it was signed"):
        start(config(), InMemory().reader())


def test_a_faulty_rule_is_told_at_the_start(state: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.yml").write_text("title: [")
    with pytest.raises(BadConfig, match=r"bad\.yml:"):
        start(DetectorConfig(rules=(str(tmp_path),)), InMemory().reader())


def test_what_it_makes_is_not_for_everybody(make: Maker, state: Path) -> None:
    service = start(config(), InMemory().reader())
    service.close()
    assert stat.S_IMODE(state.stat().st_mode) == 0o700


def test_a_baseline_that_cannot_be_kept_is_used_and_told_once(
    make: Maker, bus: Bus, state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A full or forbidden disk must not make it learn again with every event."""
    service = start(config(path=state / "nowhere" / "file" / "baseline.npz"), bus.reader())
    (state / "nowhere").mkdir(parents=True, exist_ok=True)
    (state / "nowhere" / "file").write_bytes(b"in the way")
    publish(bus, make.morning(45))
    drain(service)
    assert service.knows
    assert not service.learning
    assert service.failed == 0
    assert caplog.text.count("the baseline is not kept") == 1
    service.close()


def crash(service: Service) -> None:
    """What kill -9 leaves: nothing is kept, and the kernel lets go of the lock."""
    service._checkpoints.close()


def test_a_crash_repeats_no_alert_and_loses_none(make: Maker, learnt: Learnt, bus: Bus, state: Path) -> None:
    """Also where it comes before the first state was kept."""
    save_baseline(learnt.baseline, state / "baseline.npz")
    never = DetectorConfig(checkpoints=Checkpoints(seconds=1e9))
    plain = DetectorConfig(alerts=Alerts(path=state / "plain.ndjson"), checkpoints=Checkpoints(path=state / "plain"))
    publish(bus, story(make, learnt), 50)

    whole = Service(
        plain, SpoolFeed(bus.reader_of("plain")), FolderCheckpoints(state / "plain", "plain"), file_outbox(plain.alerts.path)
    )
    drain(whole)
    whole.finish()
    whole.close()

    for steps in (1, 3, 5, 100):
        service = start(never, bus.reader())
        for _ in range(steps):
            service.step()
        crash(service)
    last = start(never, bus.reader())
    drain(last)
    last.finish()
    last.close()
    told = [finding["metadata"]["uid"] for finding in written(state)]
    assert len(told) >= 2
    assert sorted(told) == sorted(
        json.loads(line)["metadata"]["uid"] for line in plain.alerts.path.read_bytes().splitlines()
    )


def test_two_detectors_of_one_group_are_refused(bus: Bus, state: Path) -> None:
    first = start(config(), bus.reader())
    with pytest.raises(Problem, match="another detector reads as group"):
        start(config(), bus.reader())
    first.close()


def test_an_open_minute_outlives_a_restart(make: Maker, learnt: Learnt, bus: Bus, state: Path) -> None:
    """Half of a scan before the restart and half after it are one scan."""
    save_baseline(learnt.baseline, state / "baseline.npz")
    scan = make.scan(learnt.end, host="ip:ws1")
    for part in (scan[:30], scan[30:]):
        service = start(config(), bus.reader())
        publish(bus, part)
        drain(service)
        service.close()
    assert next(finding["unmapped"]["because"][0] for finding in written(state)).startswith("41 ")


def test_repeats_on_the_bus_are_counted_and_not_judged(make: Maker, bus: Bus, state: Path) -> None:
    service = start(config(learn_minutes=0), bus.reader())
    scan = [
        msgspec.structs.replace(event, id=f"{0:016x}{number:010x}", sequence=number)
        for number, event in enumerate(make.scan(ports=30))
    ]
    publish(bus, scan)
    publish(bus, scan)
    drain(service)
    assert value(service, "nigrani_events_repeated_total") == 30
    assert service.alerts == 0
    service.close()


class TestRules:
    """Rules that change under a service that runs."""

    def start(self, bus: Bus, folder: Path, **rule_changes: Any) -> Service:
        folder.mkdir(exist_ok=True)
        write(folder / "site.yml", rule(**rule_changes))
        service = start(DetectorConfig(rules=(str(folder),), rule_files=RuleFiles(0.02)), bus.reader())
        service.watch_rules()
        return service

    def until(self, service: Service, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline
            service.step(0.01)

    def test_a_new_rule_alerts_without_a_restart(self, make: Maker, bus: Bus, state: Path, tmp_path: Path) -> None:
        service = self.start(bus, tmp_path / "site")
        before = value(service, "nigrani_rules_loaded")
        assert before is not None
        publish(bus, [make.dicom("c-get")])
        drain(service)
        getting = {"sel": {"event.action": "c-get"}, "condition": "sel"}
        write(tmp_path / "site" / "more.yml", rule("getting", detection=getting))
        self.until(service, lambda: value(service, "nigrani_rules_loaded") == before + 1)
        assert value(service, "nigrani_alerts_total", source="rule", kind="more", severity="high") == 0
        publish(bus, [make.dicom("c-get", 60)])
        drain(service)
        assert value(service, "nigrani_alerts_total", source="rule", kind="more", severity="high") == 1
        service.close()
        assert [finding["message"] for finding in written(state)] == ["Title of getting"]

    def test_faults_leave_the_rules_before_in_force(
        self, make: Maker, bus: Bus, state: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        service = self.start(bus, tmp_path / "site")
        (tmp_path / "site" / "broken.yml").write_text("title: x\nlevel: severe\n")
        self.until(service, lambda: value(service, "nigrani_rules_load_failures_total") == 1)
        assert f"{tmp_path}/site/broken.yml:2: `severe` is no level; use one of" in caplog.text
        assert "rules before stay" in caplog.text
        publish(bus, [make.dicom("c-find")])
        drain(service)
        assert value(service, "nigrani_alerts_total", source="rule", kind="site", severity="high") == 1
        service.close()

    def test_what_is_counted_and_suppressed_goes_on(self, make: Maker, bus: Bus, state: Path, tmp_path: Path) -> None:
        service = self.start(bus, tmp_path / "site", custom={"suppress": {"by": ["host.id"], "for": "1d"}})
        scan = make.scan()
        publish(bus, [*scan[:30], make.dicom("c-find")])
        drain(service)
        service.load_rules()
        loaded = service._rules
        self.until(service, lambda: service._rules is not loaded)
        publish(bus, [*scan[30:], make.dicom("c-find", 7200)])
        drain(service)
        assert value(service, "nigrani_alerts_total", source="rule", kind="port_scan", severity="high") == 1
        assert value(service, "nigrani_rules_held_total", kind="site", reason="suppressed") == 1
        service.close()

    def test_a_partition_that_comes_meanwhile_has_the_new_rules(self, bus: Bus, state: Path, tmp_path: Path) -> None:
        service = self.start(bus, tmp_path / "site")
        loaded = service._rules
        service.load_rules()
        self.until(service, lambda: service._rules is not loaded)
        assert all(share.rules is service._rules for share in service.shares.values())
        service.begin(7)
        assert service.shares[7].rules is service._rules
        service.close()
