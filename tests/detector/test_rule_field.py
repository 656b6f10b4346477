"""Every field of every dataset has a kind, and a wrong name gets the right one suggested."""

import msgspec
import pytest

from detector.device_class import CLASSES
from detector.rule import Extra, RefusedError
from detector.rule_field import SERVICES, Field, Kind, event_fields, field_named, fields, nearest
from nigrani.stream.event import Event
from nigrani.stream.events import DATASETS


def test_every_dataset_has_a_service() -> None:
    assert set(SERVICES.values()) == set(DATASETS)


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_wire_name_is_a_field(dataset: str) -> None:
    wire = {part.encode_name for part in msgspec.structs.fields(DATASETS[dataset])}
    beside = {"nigrani.new", "p_value", "device.class", "source.class", "destination.class"}
    assert fields(dataset).keys() == wire | beside


def test_classes_are_a_closed_list() -> None:
    known = fields("network.flow")
    assert {name for name, field in known.items() if field.closed} == {"device.class", "source.class", "destination.class"}
    assert known["device.class"].closed == CLASSES


@pytest.mark.parametrize(
    ("dataset", "name", "kind", "many", "optional"),
    [
        ("dicom.association", "dicom.calling_ae", Kind.TEXT, False, False),
        ("dicom.association", "dicom.abstract_syntaxes", Kind.TEXT, True, False),
        ("dicom.association", "dicom.reject.reason", Kind.NUMBER, False, True),
        ("network.flow", "nigrani.source.size", Kind.NUMBER, True, False),
        ("network.flow", "@timestamp", Kind.TIME, False, False),
        ("agent.status", "nigrani.agent.skipped", Kind.OTHER, False, False),
        ("ai.inference", "nigrani.ai.output.confidence", Kind.NUMBER, False, True),
        ("network.dns", "nigrani.new", Kind.TEXT, True, False),
        ("network.dns", "p_value", Kind.NUMBER, False, True),
    ],
)
def test_kinds(dataset: str, name: str, kind: Kind, many: bool, optional: bool) -> None:
    field = fields(dataset)[name]
    assert (field.kind, field.many, field.optional) == (kind, many, optional)


def test_values_come_from_the_event_or_from_beside_it() -> None:
    event = Extra(new=("peer",), p_value=0.5)
    assert fields("network.dns")["p_value"].get(event, event) == 0.5  # type: ignore[arg-type]


def test_unknown_field_suggests_the_nearest() -> None:
    with pytest.raises(RefusedError) as caught:
        field_named("dicom.caling_ae", fields("dicom.association"))
    assert caught.value.remedy == "did you mean `dicom.calling_ae`?"


def test_unknown_field_of_another_service() -> None:
    with pytest.raises(RefusedError) as caught:
        field_named("hl7.ack", fields("dicom.association"))
    assert caught.value.remedy == "it is a field of service hl7"


def test_nearest_lists_what_there_is() -> None:
    assert nearest("zzz", ["b", "a"]) == "use one of: a, b"


def test_a_field_of_a_new_type_is_noticed() -> None:
    class Strange(Event, tag="x"):
        raw: bytes

    with pytest.raises(TypeError, match="rules cannot read"):
        event_fields(Strange)


def test_optional_text_and_lists() -> None:
    class Strange(Event, tag="x"):
        text: str | None = None
        flag: bool | None = None
        words: list[str] | None = None

    found = event_fields(Strange)
    assert found["text"] == Field("text", "event", "text", Kind.TEXT, optional=True)
    assert found["text"].access == "(event.text or '')"
    assert found["flag"].kind is Kind.BOOLEAN
    assert found["words"].many
