"""What an event tells for the first time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from detector import seen as module
from detector.rule import NEW_FACTS
from detector.seen import EPHEMERAL, KINDS, YOUNG, Learner, Seen, union

if TYPE_CHECKING:
    from nigrani.stream.event import Event
    from tests.detector.conftest import Maker


def after(*events: Event) -> Seen:
    learner = Learner()
    for event in events:
        learner.add(event)
    return learner.seen()


def test_kinds_are_the_rules_words() -> None:
    assert set(KINDS) == NEW_FACTS


CASES = [
    ("flow", {}, {"host": "ip:other", "source": "ip:ws"}, ("device",)),
    ("flow", {}, {"host": "ip:other", "source": "ip:other"}, ("device", "peer")),
    ("flow", {}, {"destination": "ip:other"}, ("peer",)),
    ("flow", {}, {"destination_port": 104}, ("peer",)),
    ("flow", {}, {"transport": "udp"}, ("peer",)),
    ("dicom associate", {}, {"calling_ae": "ROGUE"}, ("calling_ae",)),
    ("dicom associate", {}, {"source": "ip:other"}, ("calling_ae",)),
    ("dicom associate", {}, {"called_ae": "OTHER"}, ("called_ae",)),
    ("dicom associate", {}, {"calling_ae": "", "called_ae": ""}, ()),
    ("dicom c-move", {"move_destination": "WS"}, {"move_destination": "LAPTOP"}, ("move_destination",)),
    ("dicom c-move", {"move_destination": "WS"}, {"destination": "ip:o"}, ("called_ae", "move_destination")),
    ("hl7", {}, {"sending_application": "LAB"}, ("sending_application", "hl7_trigger")),
    ("hl7", {}, {"source": "ip:other"}, ("sending_application", "hl7_trigger")),
    ("hl7", {"code": "ADT", "trigger": "A08"}, {"trigger": "A40"}, ("hl7_trigger",)),
    ("hl7", {"code": "ADT", "trigger": "A08"}, {"code": "ORM"}, ("hl7_trigger",)),
    ("hl7", {"code": "ADT", "trigger": "A08"}, {"destination": "ip:other"}, ()),
    ("hl7", {}, {"sending_application": "LAB", "direction": "response"}, ()),
    ("hl7", {}, {"sending_application": ""}, ()),
    ("ai", {}, {"source": "ip:other"}, ("client",)),
    ("ai", {}, {"model": "brain"}, ("client",)),
    ("ai", {}, {"user": "user:other"}, ()),
    ("access", {}, {"source": "ip:other"}, ("ai_admin",)),
    ("access", {}, {"server": "torchserve"}, ("ai_admin", "ai_admin_zone")),
    ("access", {}, {"source_zone": "guest"}, ("ai_admin_zone",)),
    ("access", {}, {"action": "delete", "model": "brain"}, ()),
    ("access", {}, {"source": "ip:other", "action": "list"}, ()),
    ("access", {}, {"source": "ip:other", "status": 403}, ()),
    ("access", {}, {"source": "", "action": "changed"}, ()),
    ("fhir", {}, {"source": "ip:other"}, ("fhir_client",)),
    ("fhir", {}, {"destination": "ip:other"}, ("fhir_client",)),
    ("session", {"server_name": "a.test"}, {"server_name": "b.test"}, ("server_name",)),
    ("session", {"server_name": "a.test"}, {"server_name": ""}, ()),
    ("dns", {"question": "a.test"}, {"question": "b.test"}, ("dns_suffix",)),
    ("dns", {"question": "a.test"}, {"question": "a.test", "source": "ip:other"}, ()),
    ("dns", {"question": "a.test"}, {"question": ""}, ()),
    ("status", {}, {"host": "ip:other"}, ()),
]


@pytest.mark.parametrize(("kind", "known", "changed", "expected"), CASES)
def test_novelty(
    make: Maker, kind: str, known: dict[str, object], changed: dict[str, object], expected: tuple[str, ...]
) -> None:
    name, _, action = kind.partition(" ")
    arguments = [action] if action else []
    usual = getattr(make, name)(*arguments, **known)
    seen = after(usual)
    assert seen.new(usual) == ()
    assert seen.new(getattr(make, name)(*arguments, **(known | changed))) == expected


def test_every_kind_is_told_by_some_case() -> None:
    assert {kind for *_, expected in CASES for kind in expected} == set(KINDS)


def test_nothing_is_known_at_first(make: Maker) -> None:
    assert after().new(make.dicom("c-move", move_destination="WS")) == ("calling_ae", "called_ae", "move_destination")


def test_ephemeral_ports_are_one(make: Maker) -> None:
    seen = after(make.flow(destination_port=EPHEMERAL))
    assert seen.new(make.flow(destination_port=65535)) == ()
    assert seen.new(make.flow(destination_port=EPHEMERAL - 1)) == ("peer",)


def test_one_devices_partner_is_new_to_another(make: Maker) -> None:
    seen = after(make.flow(host="ip:a"), make.flow(host="ip:b", destination="ip:x"))
    assert seen.new(make.flow(host="ip:b")) == ("peer",)


def test_a_union_knows_what_any_of_them_knows(make: Maker) -> None:
    learners = [Learner() for _ in range(3)]
    events = [make.ai(model=f"m{number}") for number in range(3)]
    for learner, event in zip(learners, events, strict=True):
        learner.add(event)
    whole = union(learners).seen()
    assert [whole.new(event) for event in events] == [()] * 3
    assert learners[0].seen().new(events[1]) == ("client",), "the parts are left as they were"
    assert union([]).seen().new(events[0]) == ("client",)


def test_the_bound_is_kept_and_counted(make: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_VALUES", 3)
    learner = Learner()
    events = [make.ai(model=f"m{number}") for number in range(5)]
    for event in (*events, events[0]):
        learner.add(event)
    assert learner.dropped == 2
    assert [learner.seen().new(event) for event in events] == [(), (), (), ("client",), ("client",)]


def test_arrays_round_trip(make: Maker) -> None:
    events = [make.flow(), make.dicom("c-move", move_destination="WS"), make.hl7(), make.ai(), make.fhir()]
    arrays = after(*events).arrays()
    assert set(arrays) == set(KINDS)
    seen = Seen.from_arrays(arrays)
    assert [seen.new(event) for event in events] == [()] * len(events)
    assert seen.new(make.ai(model="other")) == ("client",)


def test_a_baseline_of_an_earlier_release_finds_none_of_the_young_kinds_new(make: Maker) -> None:
    arrays = {kind: known for kind, known in after(make.flow()).arrays().items() if kind not in YOUNG}
    seen = Seen.from_arrays(arrays)
    assert seen.new(make.hl7()) == ("sending_application",)
    assert seen.new(make.access()) == ()
    assert set(seen.arrays()) == set(KINDS) - YOUNG


def test_a_missing_kind_is_refused(make: Maker) -> None:
    arrays = after(make.flow()).arrays()
    del arrays["client"], arrays["peer"]
    with pytest.raises(ValueError, match="no set of peer, client"):
        Seen.from_arrays(arrays)


@pytest.mark.parametrize(
    "broken",
    [np.array([2, 1], np.uint64), np.array([1, 1], np.uint64), np.array([1.0]), np.ones((2, 2), np.uint64)],
    ids=["descending", "twice", "floats", "two dimensions"],
)
def test_what_is_no_set_is_refused(make: Maker, broken: np.ndarray) -> None:
    with pytest.raises(ValueError, match="set of seen values"):
        Seen.from_arrays(after(make.flow()).arrays() | {"client": broken})
