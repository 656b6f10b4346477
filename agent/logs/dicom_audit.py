"""DICOM audit messages (PS3.15 §A.5, IHE ITI-20), the one report that all archives know how to send.

XML, after a syslog header or without one. Codes are spelt `csd-code` (DICOM) or `code` (RFC 3881), and both are in use.
The message is read by expat with every door shut: no document type, so no entities, and a bound on elements and depth.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from datetime import tzinfo
from hashlib import sha256
from xml.parsers import expat

from agent.logs.clock import now, read_moment
from agent.protocol import Fact

MAX_ELEMENTS = 4096
MAX_DEPTH = 16
HASHED = 16
"""Hexadecimal digits of a study UID's SHA-256 by which AI clients name the study to the gateway."""
STARTS = (b"<?xml", b"<AuditMessage")

EVENTS = {
    "110100": "application",
    "110101": "audit-log",
    "110102": "transfer",
    "110103": "access",
    "110104": "transferred",
    "110105": "delete",
    "110106": "export",
    "110107": "import",
    "110108": "network",
    "110109": "order",
    "110110": "patient",
    "110111": "procedure",
    "110112": "query",
    "110113": "alert",
    "110114": "authentication",
}
"""EventID (PS3.16 CID 400) → act, where neither type nor action code says more."""
TYPES = {
    "110120": "start",
    "110121": "stop",
    "110122": "login",
    "110123": "logout",
    "110126": "node-authentication",
    "110127": "emergency-override",
    "110132": "restricted-function",
    "110133": "audit-stopped",
    "110134": "audit-started",
}
"""EventTypeCode (CID 401) → act."""
SOURCE_ROLE, DESTINATION_ROLE = "110153", "110152"
"""RoleIDCode of who sends and who receives (CID 402)."""
PATIENT, STUDY = "1", "3"
"""ParticipantObjectTypeCodeRole: patient, and report, which a study is (§A.5.2)."""
STATION_AE = "110119"
"""UserIDTypeCode of an AE title."""

_DIGITS = re.compile(r"\d{1,9}", re.ASCII)
Attributes = dict[str, str]


class _Participant:
    """One ActiveParticipant."""

    def __init__(self, attributes: Attributes) -> None:
        self.attributes = attributes
        self.role = ""
        self.id_type = ""

    @property
    def requests(self) -> bool:
        return self.attributes.get("UserIsRequestor", "").lower() == "true"

    @property
    def address(self) -> str:
        """Where it is on the network: an address, or the name of a machine."""
        return self.attributes.get("NetworkAccessPointID", "")[:64]

    @property
    def titles(self) -> str:
        """Its AE title: `AETITLES=A;B` among its other names, or its id where that is one."""
        other = self.attributes.get("AlternativeUserID", "")
        if other.upper().startswith("AETITLES="):
            return other[9:].replace(";", ",").partition(",")[0].strip()[:16]
        return self.attributes.get("UserID", "")[:16] if self.id_type == STATION_AE else ""

    @property
    def user(self) -> str:
        """A person or account: neither an AE title nor a machine."""
        name = self.attributes.get("UserID", "")[:256]
        return "" if not name or self.titles or name == self.address or _is_address(name) else name


class _Reader:
    """What is kept of a message while it is read."""

    def __init__(self) -> None:
        self.depth = self.elements = 0
        self.event: Attributes = {}
        self.code = self.type_code = self.reporter = ""
        self.participants: list[_Participant] = []
        self.patient = self.study = ""
        self.studies = self.instances = 0

    def read(self, content: bytes) -> None:
        """Raises ValueError for what is no audit message."""
        parser = expat.ParserCreate("utf-8")
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.StartDoctypeDeclHandler = _refuse
        parser.EntityDeclHandler = _refuse
        parser.ExternalEntityRefHandler = _refuse
        try:
            parser.Parse(content, True)
        except expat.ExpatError as error:
            raise ValueError(f"no XML: {expat.ErrorString(error.code)}") from None
        if not self.code:
            raise ValueError("no EventID")

    def _start(self, tag: str, attributes: Attributes) -> None:
        name = tag.rpartition(":")[2]
        self._bound(name)
        if name in {"RoleIDCode", "UserIDTypeCode"}:
            self._part(name, attributes)
            return
        match name:
            case "EventIdentification":
                self.event = attributes
            case "EventID":
                self.code = _code(attributes)
            case "EventTypeCode":
                self.type_code = self.type_code or _code(attributes)
            case "ActiveParticipant":
                self.participants.append(_Participant(attributes))
            case "AuditSourceIdentification":
                self.reporter = attributes.get("AuditSourceID", "")
            case "ParticipantObjectIdentification":
                self._object(attributes)
            case "SOPClass":
                self.instances += _count(attributes.get("NumberOfInstances", ""))

    def _bound(self, name: str) -> None:
        self.depth += 1
        self.elements += 1
        if self.depth > MAX_DEPTH or self.elements > MAX_ELEMENTS:
            raise ValueError("more elements than an audit message has")
        if (self.depth == 1) != (name == "AuditMessage"):
            raise ValueError("no AuditMessage")

    def _part(self, name: str, attributes: Attributes) -> None:
        """What stands within the last participant."""
        if not self.participants:
            return
        last = self.participants[-1]
        if name == "RoleIDCode":
            last.role = last.role or _code(attributes)
        else:
            last.id_type = _code(attributes)

    def _end(self, _tag: str) -> None:
        self.depth -= 1

    def _object(self, attributes: Attributes) -> None:
        name = attributes.get("ParticipantObjectID", "")[:256]
        role = attributes.get("ParticipantObjectTypeCodeRole", "")
        if role == PATIENT:
            self.patient = self.patient or name
        elif role == STUDY:
            self.studies += 1
            self.study = self.study or name


class DicomAudit:
    """One message, one act."""

    name = "dicom-audit"
    framing = "lines"

    def __init__(self, zone: tzinfo | None = None) -> None:
        """zone: of a message whose EventDateTime has none, against the standard."""
        self._zone = zone

    def parse(self, line: bytes, arrival: int = 0, /) -> Fact:
        """The act. Raises ValueError for anything but an audit message."""
        start = min((at for at in map(line.find, STARTS) if at >= 0), default=-1)
        if start < 0:
            raise ValueError("no audit message")
        reader = _Reader()
        reader.read(line[start:].strip(b"\0\r\n\t "))
        when = read_moment(reader.event.get("EventDateTime", ""), self._zone, arrival or now())
        outcome = reader.event.get("EventOutcomeIndicator", "")
        operation = reader.event.get("EventActionCode", "")
        fields: dict[str, object] = {
            "provider": "atna",
            "action": _action(reader.code, reader.type_code, operation),
            "code": reader.code if _DIGITS.fullmatch(reader.code) else "other",
            "type_code": reader.type_code if _DIGITS.fullmatch(reader.type_code) else "",
            "operation": operation if operation in {"C", "R", "U", "D", "E"} else "",
            "outcome": {"0": "success", "4": "failure", "8": "failure", "12": "failure"}.get(outcome, ""),
            "reporter": reader.reporter[:256],
            "patient": reader.patient,
            "study": reader.study,
            "study_hash": sha256(reader.study.encode()).hexdigest()[:HASHED] if reader.study else "",
            "studies": reader.studies,
            "instances": reader.instances,
            **dict(_ends(reader.participants)),
        }
        return Fact("dicom.audit", when, fields, None)


def _code(attributes: Attributes) -> str:
    return attributes.get("csd-code") or attributes.get("code", "")


def _action(code: str, type_code: str, operation: str) -> str:
    if code in {"110102", "110104"}:  # to the archive it is a store, from it a retrieval
        return "store" if operation in {"C", "U"} else "retrieve"
    if code in {"110103", "110110", "110111"} and operation == "D":
        return "delete"
    return "alert" if code == "110113" else TYPES.get(type_code) or EVENTS.get(code, "other")


def _ends(participants: list[_Participant]) -> Iterator[tuple[str, str]]:
    """Who asked and who answered: the requestor, or the source where nobody is; and the destination, or the other one."""
    asking = next((one for one in participants if one.requests and one.address), None)
    asking = asking or next((one for one in participants if one.role == SOURCE_ROLE), None)
    asking = asking or next(iter(participants), None)
    others = [one for one in participants if one is not asking]
    answering = next((one for one in others if one.role == DESTINATION_ROLE), None) or next(
        (one for one in others if one.address and not one.user), None
    )
    users = [one.user for one in participants if one.requests and one.user] or [one.user for one in participants if one.user]
    if asking is not None:
        yield from (("source", asking.address), ("calling_ae", asking.titles))
    if answering is not None:
        yield from (("destination", answering.address), ("called_ae", answering.titles))
    yield "user", users[0] if users else ""


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True


def _count(text: str) -> int:
    return int(text) if _DIGITS.fullmatch(text) else 0


def _refuse(*_parts: object) -> int:
    raise ValueError("an audit message has neither document type nor entities")
