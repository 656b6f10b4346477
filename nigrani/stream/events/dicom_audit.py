"""`dicom.audit`: what an archive or workstation said of its own use, in an audit message or its log."""

from __future__ import annotations

from msgspec import field

from nigrani.stream.event import Address, AeTitle, Count, Event, Name, Study, User, Word


class DicomAudit(Event, kw_only=True, tag="dicom.audit"):
    """One audited act (DICOM PS3.15 §A.5.3), without names and without what was found."""

    action: Word = field(name="event.action")
    """query, store, retrieve, move, export, import, delete, access, login, logout, alert, associate, reject, …"""
    provider: Word = field(name="event.provider", default="")
    """Who said so: atna or orthanc."""
    code: Word = field(name="event.code", default="")
    """EventID of PS3.16 CID 400, such as 110112 (Query)."""
    type_code: Word = field(name="dicom.audit.type_code", default="")
    """EventTypeCode of CID 401, such as 110122 (Login)."""
    operation: Word = field(name="dicom.audit.action_code", default="")
    """EventActionCode: C, R, U, D or E."""
    outcome: Word = field(name="event.outcome", default="")
    """success or failure; EventOutcomeIndicator 0 is the one, 4, 8 and 12 the other."""
    source: Address = field(name="source.address", default="")
    """Who asked: the requesting participant's network access point."""
    source_zone: Word = field(name="nigrani.source.zone", default="")
    destination: Address = field(name="destination.address", default="")
    """Who answered, or where instances went."""
    user: User = field(name="user.name", default="")
    calling_ae: AeTitle = field(name="dicom.calling_ae", default="")
    called_ae: AeTitle = field(name="dicom.called_ae", default="")
    move_destination: AeTitle = field(name="dicom.move_destination", default="")
    reporter: Name = field(name="nigrani.audit.source", default="")
    """AuditSourceID."""
    patient: Study = field(name="nigrani.patient", default="")
    """The first patient spoken of."""
    study: Study = field(name="nigrani.study", default="")
    """The first study spoken of."""
    study_hash: Study = field(name="nigrani.study_hash", default="")
    """Of the first 16 hexadecimal digits of the SHA-256 of that study's UID: what an AI client sends as X-Study-Hash."""
    studies: Count = field(name="dicom.audit.studies", default=0)
    instances: Count = field(name="dicom.audit.instances", default=0)
    """Instances of all studies spoken of."""
