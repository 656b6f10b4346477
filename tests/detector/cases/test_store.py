"""The store as its users have it: findings in, cases out, and everything that was done in their history."""

from __future__ import annotations

import sqlite3
import threading
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from detector.cases.case import ACTIVE, MAX_TEXT, Filter
from detector.cases.store import Store
from nigrani.service.errors import Problem
from tests.detector.cases.made import NOW, Clock, finding


def actions(store: Store, number: int) -> list[str]:
    return [entry.action for entry in store.history(number)]


def test_a_finding_opens_a_case(store: Store) -> None:
    assert store.add([finding("port_scan", "ip:a", level="high")], "here") == 1
    case = store.case(1)
    assert case is not None
    assert (case.title, case.severity, case.state, case.kind, case.kinds) == (
        "Port scan",
        "high",
        "open",
        "port_scan",
        ("port_scan",),
    )
    assert (case.device, case.zone, case.device_class, case.findings, case.devices) == ("ip:a", "imaging", "pacs", 1, 1)
    assert (case.detected, case.last, case.updated, case.risk) == (NOW, NOW, NOW, 60)
    assert [(one.authority, one.due - NOW, one.state) for one in case.deadlines] == [
        ("cert-in", timedelta(hours=6), "undecided"),
        ("dpdp", timedelta(hours=72), "undecided"),
    ]
    assert actions(store, 1) == ["opened"]
    assert store.place() == "here"


def test_the_same_finding_is_taken_once(store: Store) -> None:
    line = finding()
    assert [store.add([line, line], "1"), store.add([line], "2")] == [1, 0]
    assert (store.counts().taken, store.counts().repeated, store.place()) == (1, 2, "2")
    assert store.add([]) == 0
    assert store.place() == "2"


def test_bad_lines_are_counted_and_the_rest_is_taken(store: Store) -> None:
    assert store.add([b"", b"{", finding(), b"\xff" * 100, b'{"class_uid": 1}']) == 1
    assert store.counts().refused == 4


def test_a_case_becomes_as_grave_as_its_gravest_finding(store: Store) -> None:
    store.add([finding("port_scan", "ip:a")])
    assert store.case(1).deadlines == ()  # type: ignore[union-attr]
    store.add([finding("tunnel", "ip:a", minutes=5, level="critical"), finding("port_scan", "ip:a", minutes=6)])
    case = store.case(1)
    assert case is not None
    assert (case.severity, case.title, case.kind, case.kinds) == ("critical", "Tunnel", "tunnel", ("port_scan", "tunnel"))
    assert [one.due for one in case.deadlines] == [NOW + timedelta(hours=6), NOW + timedelta(hours=72)]
    assert [entry.text for entry in store.history(1)] == [
        "Port scan",
        "Tunnel (the same device)",
        "severity medium → critical: Tunnel",
    ]


def test_from_alert_to_closed_case(store: Store, clock: Clock) -> None:
    store.add([finding(level="high")])
    clock.go(minutes=10)
    store.acknowledge(1, "asha")
    store.acknowledge(1, "ravi")
    store.assign(1, "asha", "ravi")
    store.step(1, "ravi", "Call the department", True)
    store.step(1, "ravi", "Call the department", True)
    assert store.steps(1) == {"Call the department"}
    store.step(1, "ravi", "Call the department", False)
    store.note(1, "ravi", "it was the vendor")
    store.deadline(1, "ravi", "cert-in", "sent", "CERT-1")
    store.close(1, "ravi", "expected", "planned test")
    case = store.case(1)
    assert case is not None
    assert (case.state, case.assignee, case.verdict, case.updated) == ("closed", "ravi", "expected", clock.time)
    assert [(one.state, one.reference) for one in case.deadlines] == [("sent", "CERT-1"), ("not-needed", "")]
    assert actions(store, 1) == [
        "opened", "acknowledged", "assigned", "step-done", "step-undone", "noted", "deadline", "closed", "deadline",
    ]  # fmt: skip
    assert store.history(1)[1].by == "asha"
    store.reopen(1, "asha", "it was not")
    again = store.case(1)
    assert again is not None
    assert (again.state, again.verdict) == ("open", "")
    assert [one.state for one in again.deadlines] == ["sent", "undecided"]


@pytest.mark.parametrize("change", ["acknowledge", "assign", "close"])
def test_a_closed_case_is_reopened_first(store: Store, change: str) -> None:
    store.add([finding()])
    store.close(1, "asha", "undetermined", "nobody knows")
    words = {"acknowledge": (), "assign": ("ravi",), "close": ("expected", "x")}[change]
    with pytest.raises(ValueError, match="is closed"):
        getattr(store, change)(1, "asha", *words)


def test_what_makes_no_sense_is_refused(store: Store) -> None:
    store.add([finding()])
    with pytest.raises(LookupError, match="there is no case 5"):
        store.note(5, "asha", "x")
    with pytest.raises(ValueError, match="is none of true-positive"):
        store.close(1, "asha", "nothing", "x")
    with pytest.raises(ValueError, match="say in words why"):
        store.close(1, "asha", "expected", "  ")
    with pytest.raises(ValueError, match=f"at most {MAX_TEXT}"):
        store.note(1, "asha", "x" * (MAX_TEXT + 1))
    with pytest.raises(ValueError, match="is no name"):
        store.assign(1, "asha", "two\nlines")
    with pytest.raises(ValueError, match="is none of opened"):
        store.record(1, "asha", "thought")
    with pytest.raises(ValueError, match="is not closed"):
        store.reopen(1, "asha", "x")
    assert actions(store, 1) == ["opened"]


def test_a_closed_case_is_not_reopened_in_silence(store: Store) -> None:
    store.add([finding()])
    store.close(1, "asha", "true-positive", "cleaned")
    store.add([finding(minutes=30), finding("tunnel", minutes=31)])
    case = store.case(2)
    assert case is not None
    assert (case.again, case.findings, store.case(1).state) == (1, 2, "closed")  # type: ignore[union-attr]
    assert store.history(2)[0].text == "again after #1: Port scan"
    assert [one.number for one in store.related(2)] == [1]


def test_false_alarms_are_counted_once(store: Store) -> None:
    store.add([finding(), finding("anomaly-dns"), finding("anomaly-volume")])
    for _ in range(2):
        store.close(1, "asha", "false-alarm", "a backup")
        store.reopen(1, "asha", "look again")
    assert store.counts().false_alarms == {"rule": 1, "anomaly": 2}
    assert store.counts().closed == {"false-alarm": 2}


def test_suppressed_findings_are_kept_and_open_nothing(store: Store, clock: Clock) -> None:
    store.add([finding()])
    number = store.suppress("asha", "port_scan", "ip:a", NOW + timedelta(hours=1), "the scanner", case=1)
    store.close(1, "asha", "expected", "the scanner")
    store.add([finding(minutes=10), finding("port_scan", "ip:b", minutes=11), finding(minutes=60)])
    found = {(one.case, one.suppressed) for one in store.findings().items}
    assert found == {(1, False), (1, True), (2, False), (3, False)}
    case = store.case(1)
    assert case is not None
    assert (case.state, case.findings, case.suppressed) == ("closed", 1, 1)
    assert store.case(3).again == 1  # type: ignore[union-attr]
    assert [one.findings for one in store.suppressions()] == [1]
    clock.go(minutes=5)
    store.unsuppress(number, "ravi")
    assert store.suppressions() == []
    with pytest.raises(LookupError, match="there is no suppression"):
        store.unsuppress(number, "ravi")
    assert actions(store, 1) == ["opened", "suppressed", "closed", "unsuppressed"]


def test_a_suppression_of_all_devices_and_of_no_case(store: Store) -> None:
    store.suppress("asha", "port_scan", None, NOW + timedelta(hours=1), "a drill")
    store.add([finding("port_scan", f"ip:{name}") for name in "abc"])
    assert store.cases().total == 0
    assert store.findings(Filter(suppressed=True)).total == 3
    assert [entry.action for entry in store.history(0)] == ["suppressed"]
    with pytest.raises(ValueError, match="is over"):
        store.suppress("asha", "port_scan", None, NOW, "too late")
    with pytest.raises(ValueError, match="within 90 days"):
        store.suppress("asha", "port_scan", None, NOW + timedelta(days=91), "for good")


def test_listings_are_filtered_and_paged(store: Store) -> None:
    store.add(
        [
            finding(f"kind_{number % 3}", f"ip:{number}", minutes=60 * number, level="high" if number % 2 else "low")
            for number in range(25)
        ]
    )
    seen, after = [], None
    while True:
        page = store.cases(limit=10, after=after)
        assert page.total == 25
        seen += [case.number for case in page.items]
        after = page.after
        if after is None:
            break
    assert seen == list(range(25, 0, -1))
    assert store.cases(Filter(severity="medium")).total == 12
    assert store.cases(Filter(kind="kind_1", state=ACTIVE)).total == 8
    assert store.cases(Filter(device="ip:3", zone="imaging", device_class="pacs")).total == 1
    assert store.cases(Filter(text="KIND 2")).total == 8
    assert store.cases(Filter(text="%")).total == 0
    assert store.cases(Filter(since=NOW + timedelta(hours=20), until=NOW + timedelta(hours=22))).total == 2
    urgent = store.cases(order="urgent", limit=14)
    assert [case.severity for case in urgent.items] == ["high"] * 12 + ["low"] * 2
    assert store.cases(order="urgent", limit=14, after=urgent.after).items[0].number == 21
    assert store.findings(Filter(kind="kind_1", severity="high")).total == 4
    assert store.findings(Filter(kind="never")).total == 0
    oldest = store.findings(order="oldest", limit=3)
    assert [one.device for one in oldest.items] == ["ip:0", "ip:1", "ip:2"]
    assert store.findings(order="oldest", limit=3, after=oldest.after).items[0].device == "ip:3"
    with pytest.raises(ValueError, match="is no place in this listing"):
        store.cases(after="1; DROP TABLE cases")


def test_an_export_tells_how_cases_stand(store: Store) -> None:
    store.add([finding("port_scan", "ip:a"), finding("tunnel", "ip:b", minutes=1)])
    store.assign(1, "asha", "ravi")
    store.close(1, "ravi", "true-positive", "cleaned")
    lines = [msgspec.json.decode(line) for line in store.export()]
    assert [(one["status"], one.get("comment")) for one in lines] == [("New", None), ("Resolved", "cleaned")]
    assert lines[1]["verdict"] == "True Positive"
    assert len(list(store.export(Filter(state="closed")))) == 1


def test_a_finding_is_kept_as_it_came(store: Store) -> None:
    line = finding()
    store.add([line])
    uid = store.findings().items[0].uid
    found = store.finding(uid)
    assert found is not None
    assert found.ocsf == line
    assert store.finding("nothing") is None


def test_a_restart_goes_on(tmp_path: Path, store: Store, clock: Clock) -> None:
    store.add([finding("port_scan", f"ip:{number}", minutes=number / 10) for number in range(20)], "p")
    before = store.cases(Filter(state=ACTIVE)).items
    other = Store(tmp_path / "cases.db", now=clock)
    other.add([finding("port_scan", "ip:new", minutes=10)], "q")
    assert [case.number for case in other.cases(Filter(state=ACTIVE)).items] == [before[0].number]
    assert other.place() == "q"
    other.close_store()


def test_after_a_failure_the_store_is_as_before(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from detector.cases import taking  # noqa: PLC0415 - to have it fail in the middle

    store.add([finding()], "1")
    whole = taking.zlib.compress
    calls = iter([whole, None])
    monkeypatch.setattr(taking.zlib, "compress", lambda *words: next(calls)(*words))  # type: ignore[misc]  # noqa: PLW0108 - another one each time
    with pytest.raises(TypeError):
        store.add([finding("a", "ip:x"), finding("b", "ip:y")], "2")
    monkeypatch.undo()
    assert (store.place(), store.cases().total, store.counts().taken) == ("1", 1, 1)
    store.add([finding("a", "ip:x"), finding("b", "ip:y")], "2")
    assert [case.number for case in store.cases().items] == [3, 2, 1]


def test_readers_and_writers_at_once(store: Store) -> None:
    faults: list[BaseException] = []

    def read() -> None:
        try:
            for _ in range(40):
                assert store.cases().total >= 0
                store.counts()
        except BaseException as error:  # noqa: BLE001 - told in the test's own thread
            faults.append(error)

    def write(name: str) -> None:
        try:
            for number in range(10):
                store.add([finding(f"kind_{name}", f"ip:{name}", minutes=number)])
        except BaseException as error:  # noqa: BLE001 - as above
            faults.append(error)

    threads = [threading.Thread(target=read) for _ in range(3)] + [
        threading.Thread(target=write, args=(name,)) for name in "ab"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert store.counts().taken == 20


def test_one_that_is_opened_later(tmp_path: Path) -> None:
    path = tmp_path / "cases.db"
    path.write_bytes(b"no database" * 1000)
    store = Store(path, later=True, check=True)
    with pytest.raises(Problem, match="move it"):
        store.cases()
    path.unlink()
    assert store.cases().total == 0
    store.close_store()
    with pytest.raises(Problem, match="is closed"):
        store.cases()


def test_a_locked_store_says_so(store: Store) -> None:
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    store._database._writer.execute("PRAGMA busy_timeout=50")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        store.add([finding()])
    other.execute("ROLLBACK")
    other.close()
    assert store.add([finding()]) == 1


@pytest.mark.parametrize("number", [0, -1, 1 << 63, 10**30])
def test_a_number_that_can_be_of_no_case(store: Store, number: int) -> None:
    assert store.case(number) is None
    with pytest.raises(LookupError, match="there is no case"):
        store.note(number, "asha", "x")
    with pytest.raises(LookupError, match="there is no suppression"):
        store.unsuppress(number, "asha")
