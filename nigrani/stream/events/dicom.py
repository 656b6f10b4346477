"""`dicom.association`: what an association said, by its commands and never by its data sets."""

from __future__ import annotations

from msgspec import field

from nigrani.stream.event import AeTitle, Conversation, Count, Word


class DicomAssociation(Conversation, kw_only=True, tag="dicom.association"):
    """One kind of act on one association: its negotiation (PS3.8 §9.3) or a DIMSE command (PS3.7 §9.3)."""

    action: Word = field(name="event.action")
    """associate-rq, associate, reject, abort, release; c-echo, c-store, c-find, …; `-rsp` on responses."""
    calling_ae: AeTitle = field(name="dicom.calling_ae", default="")
    called_ae: AeTitle = field(name="dicom.called_ae", default="")
    sop_class: Word = field(name="dicom.sop_class", default="")
    """Affected or requested SOP class UID (0000,0002)."""
    status: Word = field(name="dicom.status", default="")
    """Response status (0000,0900) as four hexadecimal digits."""
    move_destination: AeTitle = field(name="dicom.move_destination", default="")
    """(0000,0600), on c-move."""
    contexts: Count = field(name="dicom.contexts", default=0)
    """Presentation contexts proposed, or accepted on `associate`."""
    abstract_syntaxes: list[Word] = field(name="dicom.abstract_syntaxes", default_factory=list)
    """SOP classes proposed, at most 16."""
    implementation_uid: Word = field(name="dicom.implementation.uid", default="")
    implementation_version: Word = field(name="dicom.implementation.version", default="")
    reject_result: Count | None = field(name="dicom.reject.result", default=None)
    reject_source: Count | None = field(name="dicom.reject.source", default=None)
    reject_reason: Count | None = field(name="dicom.reject.reason", default=None)
    abort_source: Count | None = field(name="dicom.abort.source", default=None)
