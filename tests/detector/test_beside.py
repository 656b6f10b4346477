"""What stands beside the event in hand: shown in turn, worked out when asked, the site's word before what was learnt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from detector.beside import Beside
from detector.config import Devices
from detector.device_class import UNKNOWN
from detector.device_learner import DeviceClasses

if TYPE_CHECKING:
    from nigrani.stream.event import Event
    from tests.detector.conftest import Learnt, Maker


@pytest.fixture
def beside(learnt: Learnt) -> Beside:
    classes = DeviceClasses.build({"ip:ws": "workstation", "ip:pacs": "pacs", "ip:ct": "modality"})
    named = Devices(zones={"bedside": "bedside"}, tokens={"ip:ct": "printer"})
    return Beside(learnt.knowledge._replace(classes=classes), named)


def shown(beside: Beside, event: Event) -> tuple[str, str, str]:
    beside.show(event)
    return beside.device_class, beside.source_class, beside.destination_class


def test_classes_are_those_learnt(beside: Beside, make: Maker) -> None:
    assert shown(beside, make.flow()) == ("workstation", "workstation", "pacs")
    assert shown(beside, make.flow(destination="ip:x")) == ("workstation", "workstation", UNKNOWN)
    assert shown(beside, make.flow(0, "ip:pacs", source="ip:ws")) == ("pacs", "workstation", "pacs")


def test_the_site_has_the_last_word(beside: Beside, make: Maker) -> None:
    assert shown(beside, make.flow(source_zone="bedside")) == ("bedside", "bedside", "pacs")
    assert shown(beside, make.flow(destination_zone="bedside")) == ("workstation", "workstation", "bedside")
    assert shown(beside, make.flow(0, "ip:ct", source_zone="bedside")) == ("printer", "printer", "pacs")
    told = make.flow(0, "ip:pacs", source="ip:ws", destination_zone="bedside")
    assert shown(beside, told) == ("bedside", "workstation", "bedside"), "the device's zone is that of its end"


def test_events_without_ends_have_classes_all_the_same(beside: Beside, make: Maker) -> None:
    assert shown(beside, make.status(0, "ip:pacs")) == ("pacs", UNKNOWN, UNKNOWN)
    assert shown(beside, make.ai(source="")) == ("workstation", UNKNOWN, UNKNOWN)


def test_the_site_may_name_without_a_baseline(make: Maker) -> None:
    assert shown(Beside(), make.flow()) == ("", "", ""), "nothing is known"
    assert shown(Beside(None, Devices(tokens={"ip:pacs": "pacs"})), make.flow()) == ("", "", "pacs")


def test_a_baseline_of_before_there_were_classes_tells_none(learnt: Learnt, make: Maker) -> None:
    assert shown(Beside(learnt.knowledge._replace(classes=None)), make.flow()) == ("", "", "")


def test_a_p_value_is_worked_out_once_and_anew_for_each_event(beside: Beside, learnt: Learnt, make: Maker) -> None:
    flows = [event for event in learnt.events if type(event).__name__ == "NetworkFlow"][:2]
    strange = make.flow(0, "ip:ws1", source_payload=10**12, source_packets=10**9, destination_zone="internet")
    values = []
    for event in (*flows, strange):
        assert beside.show(event) == beside.new
        values.append(beside.p_value)
        assert beside.p_value is values[-1]
    assert values[2] is not None
    assert values[0] is not None
    assert values[2] < values[0]
    beside.show(make.dns())
    assert beside.p_value is None, "only flows have one"


def test_nothing_is_new_or_rare_without_a_baseline(make: Maker) -> None:
    beside = Beside()
    assert beside.show(make.flow()) == ()
    assert beside.p_value is None
