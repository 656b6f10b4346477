"""What devices are taken for: by what succeeded, often enough, inside of the site, in whatever order it came."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detector import device_learner as module
from detector.device_class import CLASSES, UNKNOWN
from detector.device_learner import LEAST, PERFORMED_STEP, WORKLIST, DeviceClasses, Learner
from nigrani.stream.codec import decode
from nigrani.stream.event import Event
from nigrani.stream.events import AiModelAccess

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.detector.conftest import Maker


def learnt(events: Iterable[Event]) -> DeviceClasses:
    learner = Learner()
    for event in events:
        learner.add(event)
    return learner.classes()


def often(make: Maker, kind: str, *arguments: Any, times: int = LEAST, **fields: Any) -> list[Event]:
    return [getattr(make, kind)(*arguments, **fields) for _ in range(times)]


STORED = {"status": "0000", "sop_class": "1.2.840.10008.5.1.4.1.1.2"}
FOUND = {"status": "FF00", "sop_class": "1.2.840.10008.5.1.4.1.2.2.1"}
CASES: list[tuple[str, str, tuple[str, ...], dict[str, Any], str, str]] = [
    ("stores", "dicom", ("c-store-rsp",), STORED, "modality", "pacs"),
    ("stores with a warning", "dicom", ("c-store-rsp",), STORED | {"status": "B000"}, "modality", "pacs"),
    ("store refused", "dicom", ("c-store-rsp",), STORED | {"status": "A700"}, UNKNOWN, UNKNOWN),
    ("store unanswered", "dicom", ("c-store",), {}, UNKNOWN, UNKNOWN),
    ("queries", "dicom", ("c-find-rsp",), FOUND, "workstation", "pacs"),
    ("moves", "dicom", ("c-move-rsp",), FOUND, "workstation", "pacs"),
    ("query refused", "dicom", ("c-find-rsp",), FOUND | {"status": "C001"}, UNKNOWN, UNKNOWN),
    ("query unanswered", "dicom", ("c-find",), {}, UNKNOWN, UNKNOWN),
    ("reads its worklist", "dicom", ("c-find-rsp",), FOUND | {"sop_class": WORKLIST}, "modality", "his"),
    ("performs a step", "dicom", ("n-create-rsp",), STORED | {"sop_class": PERFORMED_STEP}, "modality", "his"),
    ("prints a film", "dicom", ("n-create-rsp",), STORED | {"sop_class": "1.2.840.10008.5.1.1.1"}, UNKNOWN, "printer"),
    ("creates something else", "dicom", ("n-create-rsp",), STORED | {"sop_class": "1.2.3"}, UNKNOWN, UNKNOWN),
    ("echoes", "dicom", ("c-echo-rsp",), {"status": "0000"}, UNKNOWN, UNKNOWN),
    ("admits", "hl7", (), {"code": "ADT"}, "his", UNKNOWN),
    ("orders", "hl7", (), {"code": "ORM"}, "his", UNKNOWN),
    ("results", "hl7", (), {"code": "ORU"}, "lab", UNKNOWN),
    ("acknowledges", "hl7", (), {"code": "ACK", "direction": "response", "ack": "AA"}, UNKNOWN, "his"),
    ("refuses", "hl7", (), {"code": "ACK", "direction": "response", "ack": "AR"}, UNKNOWN, UNKNOWN),
    ("reads FHIR", "fhir", (), {"status": 200}, UNKNOWN, "fhir-server"),
    ("is refused FHIR", "fhir", (), {"status": 403}, UNKNOWN, UNKNOWN),
    ("no answer of FHIR", "fhir", (), {}, UNKNOWN, UNKNOWN),
    ("infers", "ai", (), {"destination": "ip:ai"}, UNKNOWN, "ai-server"),
    ("is refused inference", "ai", (), {"destination": "ip:ai", "status": 429}, UNKNOWN, UNKNOWN),
    ("infers of nobody knows whom", "ai", (), {}, UNKNOWN, UNKNOWN),
    ("publishes", "flow", (), {"protocol": "mqtt", "destination_payload": 9}, "bedside", UNKNOWN),
    ("calls", "flow", (), {"protocol": "sip", "transport": "udp", "state": "", "destination_payload": 9},
     "telemedicine", "telemedicine"),
    ("calls in vain", "flow", (), {"protocol": "sip", "transport": "udp", "state": ""}, UNKNOWN, UNKNOWN),
    ("prints", "flow", (), {"protocol": "", "destination_port": 9100, "destination_payload": 9}, UNKNOWN, "printer"),
    ("finds no printer", "flow", (), {"protocol": "", "destination_port": 9100, "state": "S0", "destination_payload": 9},
     UNKNOWN, UNKNOWN),
    ("asks for names", "flow", (), {"protocol": "dns", "transport": "udp", "state": "", "destination_payload": 9},
     UNKNOWN, "network"),
    ("logs in", "flow", (), {"protocol": "kerberos", "destination_payload": 9}, UNKNOWN, "server"),
    ("gives leases", "session", (), {"protocol": "dhcp", "action": "BOOTREPLY"}, "network", UNKNOWN),
    ("prints by a share", "session", (), {"protocol": "smb2", "share_kind": "print", "outcome": "success"},
     UNKNOWN, "printer"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "arguments", "fields", "source", "destination"), [case[1:] for case in CASES],
                         ids=[case[0] for case in CASES])  # fmt: skip
def test_signs(
    make: Maker, kind: str, arguments: tuple[str, ...], fields: dict[str, Any], source: str, destination: str
) -> None:
    events = often(make, kind, *arguments, **fields)
    classes = learnt(events)
    assert classes.of(events[0].source) == source  # type: ignore[attr-defined]
    assert classes.of(events[0].destination or "") == destination  # type: ignore[attr-defined]


def test_a_sign_seen_too_seldom_tells_nothing(make: Maker) -> None:
    assert learnt(often(make, "dicom", "c-store-rsp", times=LEAST - 1, **STORED)).of("ip:ws") == UNKNOWN
    assert learnt([make.dicom("c-store-rsp", count=LEAST, **STORED)]).of("ip:ws") == "modality"


def test_models_are_administered_at_their_server(make: Maker) -> None:
    fields = {"source": "ip:admin", "destination": "ip:ai", "action": "load", "status": 200}
    events = [make._make(AiModelAccess, 0, "ip:ai", fields) for _ in range(LEAST)]
    classes = learnt(events)
    assert (classes.of("ip:ai"), classes.of("ip:admin")) == ("ai-server", UNKNOWN)


def web(make: Maker, source: str, destination: str = "ip:web", **fields: Any) -> list[Event]:
    plain = {"protocol": "tls", "destination_port": 443, "destination_payload": 9, "destination": destination}
    return often(make, "flow", 0, source, **(plain | fields))


def test_a_server_has_several_clients(make: Maker) -> None:
    assert learnt(web(make, "ip:a")).of("ip:web") == UNKNOWN
    assert learnt([*web(make, "ip:a"), *web(make, "ip:b")]).of("ip:web") == "server"


def test_who_is_outside_has_no_class(make: Maker) -> None:
    outside = {"destination_zone": "internet"}
    assert learnt([*web(make, "ip:a", **outside), *web(make, "ip:b", **outside)]).of("ip:web") == UNKNOWN
    assert learnt(often(make, "dicom", "c-store-rsp", source_zone="internet", **STORED)).of("ip:ws") == UNKNOWN


def test_a_day_at_a_desk(make: Maker) -> None:
    shares = web(make, "ip:pc", "ip:files", protocol="smb2", destination_port=445)
    assert learnt([*web(make, "ip:pc"), *shares]).of("ip:pc") == "desktop"


def test_what_fails_or_is_only_tried_makes_nobody_anything(make: Maker) -> None:
    """A scanner that knocks at every door is no workstation, and what it knocks at is no archive."""
    tried = [
        make.dicom(action, host="ip:rogue") for action in ("c-find", "c-move", "c-store", "associate-rq") for _ in "1234"
    ]
    refused = often(make, "flow", 0, "ip:rogue", times=50, state="REJ", destination_payload=0)
    assert not len(learnt([*tried, *refused, *make.scan(0, "ip:rogue")]))


def test_a_morning_in_any_order(make: Maker) -> None:
    events = [
        *make.morning(3),
        *(one for fields in (STORED, FOUND) for one in often(make, "dicom", "c-store-rsp", **fields)),
        *often(make, "dicom", "c-find-rsp", 0, "ip:read", **FOUND),
    ]
    first, last = learnt(events).arrays(), learnt(reversed(events)).arrays()
    assert all(np.array_equal(first[name], last[name]) for name in first)
    assert len(first["devices"]) > 2


def test_the_bound_is_kept_counted_and_chosen_by_evidence(make: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_DEVICES", 2)
    outside = STORED | {"destination_zone": "internet"}
    events = [
        one
        for number in range(4)
        for one in often(make, "dicom", "c-store-rsp", 0, f"ip:m{number}", times=LEAST + number % 3, **outside)
    ]
    for order in (events, events[::-1]):
        learner = Learner()
        for event in order:
            learner.add(event)
        classes = learner.classes()
        assert (len(classes), learner.dropped) == (2, 2)
        assert [classes.of(f"ip:m{number}") for number in range(4)] == [UNKNOWN, "modality", "modality", UNKNOWN]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_hostile_events_tell_the_same_in_any_order(data: st.DataObject, edge_lines: dict[str, Any]) -> None:
    lines = data.draw(st.lists(st.one_of(*edge_lines.values()), max_size=12))
    events = [event for line in lines if (event := _decoded(line)) is not None]
    one = learnt(events)
    other = learnt(data.draw(st.permutations(events)))
    assert len(one) <= 2 * len(events)
    for name, array in one.arrays().items():
        assert np.array_equal(array, other.arrays()[name])
    for event in events:
        assert one.of(event.host) in CLASSES
    assert len(DeviceClasses.from_arrays(one.arrays())) == len(one)


def _decoded(line: bytes) -> Event | None:
    try:
        return decode(line)
    except ValueError:
        return None


class TestArrays:
    def test_they_round_trip_and_hold_no_token(self) -> None:
        arrays = DeviceClasses.build({"ip:a": "modality", "ip:b": "pacs"}).arrays()
        again = DeviceClasses.from_arrays(arrays)
        assert [again.of(token) for token in ("ip:a", "ip:b", "ip:c", "")] == ["modality", "pacs", UNKNOWN, UNKNOWN]
        assert arrays["devices"].dtype == np.uint64

    def test_a_class_of_another_version_is_unknown(self) -> None:
        arrays = DeviceClasses.build({"ip:a": "modality", "ip:b": "pacs"}).arrays()
        arrays["names"] = np.array(["robot" if name == "modality" else name for name in arrays["names"]])
        again = DeviceClasses.from_arrays(arrays)
        assert (again.of("ip:a"), again.of("ip:b")) == (UNKNOWN, "pacs")

    def test_more_devices_are_asked_for_than_are_remembered(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "MAX_SEEN", 3)
        classes = DeviceClasses.build({"ip:1": "pacs"})
        assert [classes.of(f"ip:{number}") for number in range(9)] == [UNKNOWN, "pacs", *[UNKNOWN] * 7]
        assert classes.of("ip:1") == "pacs"
        assert len(classes._known) <= 3

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"devices": None}, "lack the array devices"),
            ({"codes": None}, "lack the array codes"),
            ({"names": None}, "lack the array names"),
            ({"devices": np.array([2, 1], dtype=np.uint64)}, "strictly ascending"),
            ({"devices": np.array([1, 1], dtype=np.uint64)}, "strictly ascending"),
            ({"devices": np.array([1, 2])}, "strictly ascending"),
            ({"devices": np.array([[1], [2]], dtype=np.uint64)}, "strictly ascending"),
            ({"codes": np.array([0], dtype=np.uint8)}, "do not fit"),
            ({"codes": np.array([0, 200], dtype=np.uint8)}, "do not fit"),
            ({"codes": np.array([0, 0])}, "do not fit"),
            ({"names": np.array([1, 2])}, "list of texts"),
            ({"names": np.array([["a"]])}, "list of texts"),
        ],
    )
    def test_bad_ones_are_refused(self, change: dict[str, Any], message: str) -> None:
        arrays = DeviceClasses.build({"ip:a": "modality", "ip:b": "pacs"}).arrays() | change
        with pytest.raises(ValueError, match=message):
            DeviceClasses.from_arrays({name: array for name, array in arrays.items() if array is not None})
