"""The two messages under `tests/data/logs` are made after PS3.15 §A.5 and RFC 3881, as archives and tools send them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given

from agent.logs.clock import EPOCH
from agent.logs.dicom_audit import MAX_DEPTH, MAX_ELEMENTS, DicomAudit
from agent.logs.gateway import Gateway
from agent.privacy import Privacy
from agent.protocol import Fact
from nigrani.stream.events import AiInference
from nigrani.stream.events import DicomAudit as Audit
from tests.agent.logs.hostile import hold, lines

LOGS = Path(__file__).parents[2] / "data" / "logs"
DICOM = (LOGS / "atna_dicom.xml").read_bytes().rstrip()
UID = "1.2.840.113619.2.1"
RFC3881 = (LOGS / "atna_rfc3881.xml").read_bytes().rstrip()


def test_a_study_joins_with_what_a_client_calls_it() -> None:
    """By the hash that the gateway's log has, and by the UID where a client sends that."""
    site = Privacy(bytes(32), agent="a", boot="1")
    stored = site.fact(None, parse(DICOM))
    assert isinstance(stored, Audit)
    for name, token in ((sha256(UID.encode()).hexdigest()[:16], stored.study_hash), (UID, stored.study)):
        line = {"msec": 1.8e9, "client": "10.0.0.1", "uri": "/v2/models/m/infer", "method": "POST", "study": name}
        asked = site.fact(None, Gateway().parse(json.dumps(line).encode()))
        assert isinstance(asked, AiInference)
        assert asked.study == token != ""


def parse(line: bytes) -> Fact:
    return DicomAudit().parse(line)


def message(code: str, more: str = "", *, action: str = "E", type_code: str = "", outcome: str = "0") -> bytes:
    kind = f'<EventTypeCode csd-code="{type_code}"/>' if type_code else ""
    return (
        f'<AuditMessage><EventIdentification EventActionCode="{action}" EventDateTime="2026-06-25T13:47:57Z" '
        f'EventOutcomeIndicator="{outcome}"><EventID csd-code="{code}"/>{kind}</EventIdentification>{more}</AuditMessage>'
    ).encode()


def test_a_message_of_an_archive() -> None:
    fact = parse(DICOM)
    assert fact.dataset == "dicom.audit"
    assert fact.when == (datetime(2026, 6, 25, 13, 47, 57, 598_000, UTC) - EPOCH) // timedelta(microseconds=1)
    assert fact.fields == {
        "provider": "atna",
        "action": "retrieve",
        "code": "110104",
        "type_code": "",
        "operation": "R",
        "outcome": "success",
        "reporter": "dcm4chee-arc",
        "patient": "4711^^^HOSPITAL",
        "study": "1.2.840.113619.2.1",
        "study_hash": "f7a5d3c758ecde1f",
        "studies": 1,
        "instances": 242,
        "source": "10.20.3.4",
        "calling_ae": "",
        "destination": "198.51.100.7",
        "called_ae": "TELERAD",
        "user": "anita.rao",
    }


def test_a_message_in_the_older_spelling() -> None:
    fields = parse(RFC3881).fields
    assert (fields["action"], fields["outcome"], fields["type_code"]) == ("login", "failure", "110122")
    assert (fields["user"], fields["source"]) == ("reader7@hospital.example", "203.0.113.12")


@pytest.mark.parametrize(
    ("content", "action"),
    [
        (message("110112"), "query"),
        (message("110102", action="R"), "retrieve"),
        (message("110104", action="C"), "store"),
        (message("110104", action="U"), "store"),
        (message("110103", action="R"), "access"),
        (message("110103", action="D"), "delete"),
        (message("110105", action="D"), "delete"),
        (message("110106"), "export"),
        (message("110110", action="D"), "delete"),
        (message("110113", type_code="110126"), "alert"),
        (message("110114", type_code="110123"), "logout"),
        (message("110100", type_code="110121"), "stop"),
        (message("999999"), "other"),
        (message("RAO^ANITA"), "other"),
    ],
)
def test_the_act(content: bytes, action: str) -> None:
    fact = parse(content)
    assert fact.fields["action"] == action
    assert fact.fields["code"] in {"other", content[content.find(b"csd-code") + 10 :][:6].decode()}


@pytest.mark.parametrize(
    ("outcome", "expected"), [("0", "success"), ("4", "failure"), ("8", "failure"), ("12", "failure"), ("", ""), ("x", "")]
)
def test_the_outcome(outcome: str, expected: str) -> None:
    assert parse(message("110112", outcome=outcome)).fields["outcome"] == expected


def test_ae_titles_among_other_names() -> None:
    more = (
        '<ActiveParticipant UserID="10.0.0.1" AlternativeUserID="AETITLES=WS1;WS2" UserIsRequestor="true" '
        'NetworkAccessPointID="10.0.0.1"/><ActiveParticipant UserID="2001:db8::5" AlternativeUserID="aetitles= PACS " '
        'UserIsRequestor="false" NetworkAccessPointID="pacs.example"/>'
    )
    fields = parse(message("110112", more)).fields
    assert (fields["calling_ae"], fields["called_ae"], fields["user"]) == ("WS1", "PACS", "")
    assert (fields["source"], fields["destination"]) == ("10.0.0.1", "pacs.example")


def test_without_a_requestor_the_source_asks() -> None:
    more = (
        '<ActiveParticipant UserID="B" NetworkAccessPointID="10.0.0.2"><RoleIDCode csd-code="110152"/></ActiveParticipant>'
        '<ActiveParticipant UserID="A" NetworkAccessPointID="10.0.0.1"><RoleIDCode csd-code="110153"/></ActiveParticipant>'
    )
    fields = parse(message("110104", more, action="C")).fields
    assert (fields["source"], fields["destination"]) == ("10.0.0.1", "10.0.0.2")


def test_nobody_took_part() -> None:
    assert "source" not in parse(message("110112")).fields


def test_many_studies_are_counted() -> None:
    one = (
        '<ParticipantObjectIdentification ParticipantObjectID="1.2.{}" ParticipantObjectTypeCodeRole="3">'
        '<SOPClass NumberOfInstances="{}"/></ParticipantObjectIdentification>'
    )
    fields = parse(message("110106", "".join(one.format(n, n) for n in range(1, 51)))).fields
    assert (fields["study"], fields["studies"], fields["instances"]) == ("1.2.1", 50, 1275)


LAUGHS = b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>' + message("110112").replace(
    b"110112", b"&b;"
)


@pytest.mark.parametrize(
    "line",
    [
        LAUGHS,
        b'<?xml version="1.0"?><!DOCTYPE l SYSTEM "file:///etc/passwd"><AuditMessage/>',
        b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY % p SYSTEM "http://10.0.0.1/x">%p;]><AuditMessage/>',
        message("110112", "&undefined;"),
        message("110112", "<a>" * MAX_DEPTH + "</a>" * MAX_DEPTH),
        message("110112", "<a/>" * MAX_ELEMENTS),
        message("110112").replace(b"2026-06-25T13:47:57Z", b"yesterday"),
        message("110112")[:-3],
        message("110112") + b"<AuditMessage/>",
        message("").replace(b'csd-code=""', b""),
        b"<AuditMessage/>",
        b"<?xml version='1.0'?><Other/>",
        b"<?xml version='1.0' encoding='x'?><AuditMessage/>",
        b"no xml",
        b"",
    ],
    ids=range(15),
)
def test_what_is_no_audit_message_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(line)


def test_nothing_of_the_message_is_in_what_is_said_of_it() -> None:
    with pytest.raises(ValueError, match=r"^no XML: ") as caught:
        parse(DICOM[:-30])
    assert "RAO" not in str(caught.value)
    assert caught.value.__suppress_context__


@given(lines([DICOM, RFC3881, message("110112"), LAUGHS]))
def test_any_bytes_are_a_fact_or_a_value_error(line: bytes) -> None:
    hold(DicomAudit(), line)
