"""Events and matches as a person reads them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from detector.rule_field import fields
from detector.seen import KINDS
from detector.words import CLASS_OF, NEW, about, in_words
from nigrani.stream.event import Event
from nigrani.stream.events import (
    AgentStatus,
    AiInference,
    DicomAssociation,
    FhirInteraction,
    Hl7Message,
    NetworkDns,
    NetworkFlow,
    NetworkSession,
)

HEAD = {"timestamp": datetime(2026, 3, 2, tzinfo=UTC), "id": "1", "sequence": 0, "agent": "a", "host": "ip:a"}
ENDS = {**HEAD, "source": "ip:a", "destination": "ip:b", "destination_port": 104, "destination_zone": "imaging"}


def test_every_class_field_has_words() -> None:
    assert set(CLASS_OF) == {name for name, field in fields("network.flow").items() if field.closed}


def test_every_kind_of_novelty_has_words() -> None:
    assert set(NEW) == set(KINDS)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("event.action", "c-find", "event.action = c-find"),
        ("nigrani.new", ("calling_ae", "device"), "never seen before: calling AE title at this address, device"),
        ("dicom.abstract_syntaxes", ["1.2", "1.3"], "dicom.abstract_syntaxes = 1.2, 1.3"),
        ("dicom.reject.reason", 7, "dicom.reject.reason = 7"),
        ("source.class", "modality", "the originator is a scanner or other source of images (modality)"),
        ("destination.class", "other", "what it spoke to is other (other)"),
    ],
)
def test_in_words(field: str, value: object, words: str) -> None:
    assert in_words(field, value) == words


@pytest.mark.parametrize(
    ("event", "detail"),
    [
        (
            DicomAssociation(**ENDS, action="reject", calling_ae="ae:1", called_ae="PACS", reject_source=1, reject_reason=7),
            "calling AE ae:1, called AE PACS, rejected by source 1 for 7",
        ),
        (Hl7Message(**ENDS, code="ADT", trigger="A01", sending_application="name:1"), "ADT^A01, from application name:1"),
        (FhirInteraction(**ENDS, interaction="operation", resource_type="Group", operation="$export", status=202),
         "operation Group$export, status 202"),
        (NetworkDns(**ENDS, question="evil.test", question_type="TXT"), "names under evil.test, TXT"),
        (NetworkSession(**ENDS, protocol="smb2", action="rename", share="name:2"), "smb2, rename, share name:2"),
        (NetworkFlow(**ENDS, protocol="dicom", state="SF"), "dicom, connection state SF"),
    ],
    ids=lambda value: value.__class__.__name__ if isinstance(value, Event) else "",
)  # fmt: skip
def test_about(event: Event, detail: str) -> None:
    assert about(event) == ["ip:a → ip:b port 104 (imaging)", detail]


def test_about_a_log_line() -> None:
    event = AiInference(**HEAD, source="ip:a", user="user:1", model="chest", server="triton", status=429)
    assert about(event) == ["ip:a", "model chest on triton, as user:1, status 429"]


def test_about_a_heartbeat() -> None:
    assert about(AgentStatus(**HEAD)) == []
