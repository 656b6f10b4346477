"""The datasets, one module each; `DATASETS` is the registry that the codec, the schemas and the rules read."""

from __future__ import annotations

from nigrani.stream.event import Event
from nigrani.stream.events.ai import AiInference
from nigrani.stream.events.ai_model_access import AiModelAccess
from nigrani.stream.events.ai_training import AiTraining
from nigrani.stream.events.dicom import DicomAssociation
from nigrani.stream.events.dicom_audit import DicomAudit
from nigrani.stream.events.dns import NetworkDns
from nigrani.stream.events.fhir import FhirInteraction
from nigrani.stream.events.flow import NetworkFlow
from nigrani.stream.events.hl7 import Hl7Message
from nigrani.stream.events.session import NetworkSession
from nigrani.stream.events.status import AgentStatus

__all__ = [
    "DATASETS",
    "AgentStatus",
    "AiInference",
    "AiModelAccess",
    "AiTraining",
    "AnyEvent",
    "DicomAssociation",
    "DicomAudit",
    "FhirInteraction",
    "Hl7Message",
    "NetworkDns",
    "NetworkFlow",
    "NetworkSession",
]

AnyEvent = (
    NetworkFlow
    | NetworkDns
    | NetworkSession
    | DicomAssociation
    | DicomAudit
    | Hl7Message
    | FhirInteraction
    | AiInference
    | AiModelAccess
    | AiTraining
    | AgentStatus
)

DATASETS: dict[str, type[Event]] = {
    str(kind.__struct_config__.tag): kind
    for kind in (
        NetworkFlow,
        NetworkDns,
        NetworkSession,
        DicomAssociation,
        DicomAudit,
        Hl7Message,
        FhirInteraction,
        AiInference,
        AiModelAccess,
        AiTraining,
        AgentStatus,
    )
}
"""Dataset name → structure."""
