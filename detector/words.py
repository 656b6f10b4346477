"""An event's facts as a person reads them."""

from __future__ import annotations

from detector.device_class import CLASSES
from nigrani.stream.event import Event
from nigrani.stream.events import (
    AiInference,
    AiModelAccess,
    AiTraining,
    DicomAssociation,
    DicomAudit,
    FhirInteraction,
    Hl7Message,
    NetworkDns,
    NetworkFlow,
    NetworkSession,
)

NEW = {
    "device": "device",
    "peer": "peer and port of this device",
    "calling_ae": "calling AE title at this address",
    "called_ae": "called AE title at that address",
    "move_destination": "C-MOVE destination",
    "sending_application": "sending application at this address",
    "client": "client of this model",
    "fhir_client": "client of this FHIR server",
    "server_name": "server name asked for by this device",
    "dns_suffix": "DNS suffix",
    "hl7_trigger": "message type and trigger of this sender",
    "ai_admin": "administrator of this inference server",
    "ai_admin_zone": "zone that administers such a server",
}


CLASS_OF = {
    "device.class": "the device",
    "source.class": "the originator",
    "destination.class": "what it spoke to",
}


def in_words(field: str, value: object) -> str:
    """One test that a rule matched on."""
    if field == "nigrani.new" and isinstance(value, tuple):
        return "never seen before: " + ", ".join(NEW.get(kind, str(kind)) for kind in value)
    if field in CLASS_OF:
        return f"{CLASS_OF[field]} is {CLASSES.get(str(value), value)} ({value})"
    if field == "p_value":
        return f"{field} = {value:.2g}"
    if isinstance(value, list | tuple):
        return f"{field} = {', '.join(map(str, value))}"
    return f"{field} = {value}"


def about(event: Event) -> list[str]:
    """Who did what to whom, as far as one event tells."""
    source, destination = getattr(event, "source", ""), getattr(event, "destination", "")
    detail = _detail(event)
    if not source:  # a log that does not say from where
        return [detail] if detail else []
    port = getattr(event, "destination_port", 0)
    zone = getattr(event, "destination_zone", "")
    there = f" → {destination}{f' port {port}' if port else ''}{f' ({zone})' if zone else ''}" if destination else ""
    return [f"{source}{there}", detail] if detail else [f"{source}{there}"]


def _status(code: int) -> str:
    return f"status {code}" if code else ""


def _detail(event: Event) -> str:
    parts: list[object]
    match event:
        case DicomAssociation():
            parts = [
                event.calling_ae and f"calling AE {event.calling_ae}",
                event.called_ae and f"called AE {event.called_ae}",
                event.move_destination and f"C-MOVE destination {event.move_destination}",
                event.reject_reason is not None and f"rejected by source {event.reject_source} for {event.reject_reason}",
            ]
        case Hl7Message():
            kind = f"{event.code}^{event.trigger}" if event.trigger else event.code
            parts = [kind, event.sending_application and f"from application {event.sending_application}"]
        case FhirInteraction():
            parts = [f"{event.interaction} {event.resource_type}{event.operation}", _status(event.status)]
        case AiInference():
            parts = [
                event.model and f"model {event.model} on {event.server}",
                event.user and f"as {event.user}",
                _status(event.status),
            ]
        case NetworkDns():
            parts = [event.question and f"names under {event.question}", event.question_type]
        case NetworkSession():
            parts = [event.protocol, event.action, event.share and f"share {event.share}", event.status]
        case NetworkFlow():
            parts = [event.protocol, event.state and f"connection state {event.state}"]
        case _:
            parts = _logged(event)
    return ", ".join(str(part) for part in parts if part)


def _logged(event: Event) -> list[object]:
    """Parts of what logs alone tell of."""
    match event:
        case AiModelAccess():
            return [
                event.action,
                event.model and f"model {event.model}",
                event.server and f"on {event.server}",
                event.path and f"file {event.path}",
                event.user and f"as {event.user}",
                event.manifest and f"manifest: {event.manifest}",
                event.signature and f"signature: {event.signature}",
                _status(event.status),
            ]
        case AiTraining():
            return [
                event.action,
                event.site and f"site {event.site}",
                event.job and f"job {event.job}",
                f"round {event.round}" if event.round else "",
                event.norm is not None and f"norm of the update {event.norm:.3g}",
                event.dataset and f"dataset {event.dataset}",
            ]
        case DicomAudit():
            return [
                event.action,
                event.outcome,
                event.user and f"by {event.user}",
                f"{event.instances} instances" if event.instances else "",
                f"{event.studies} studies" if event.studies else "",
            ]
    return []
