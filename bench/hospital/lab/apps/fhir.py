"""A FHIR R4 server of synthetic resources: read and search of Patient, Observation and ImagingStudy."""

from __future__ import annotations

import re
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

TYPES = ("Patient", "Observation", "ImagingStudy")
ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
Resource = dict[str, Any]


class FhirResponse(JSONResponse):
    """JSON with the media type that FHIR asks for (R4 section 3.1.0.1.10)."""

    media_type = "application/fhir+json; fhirVersion=4.0"


def resource(kind: str, identity: str, patient: str) -> Resource:
    """One synthetic resource."""
    subject = {"reference": f"Patient/{patient}"}
    if kind == "Patient":
        return {
            "resourceType": kind,
            "id": identity,
            "active": True,
            "gender": "other",
            "birthDate": "1970-01-01",
            "name": [{"family": "TEST", "given": [f"PATIENT{identity.removeprefix('pt-')}"]}],
        }
    if kind == "Observation":
        return {
            "resourceType": kind,
            "id": identity,
            "status": "final",
            "subject": subject,
            "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4", "display": "Heart rate"}]},
            "valueQuantity": {"value": 72, "unit": "beats/minute"},
        }
    return {
        "resourceType": kind,
        "id": identity,
        "status": "available",
        "subject": subject,
        "started": "2026-03-01T09:00:00Z",
        "numberOfSeries": 1,
        "numberOfInstances": 3,
    }


def outcome(code: str, status: int) -> FhirResponse:
    """Make an OperationOutcome."""
    issue = [{"severity": "error", "code": code}]
    return FhirResponse({"resourceType": "OperationOutcome", "issue": issue}, status)


async def read(request: Request) -> FhirResponse:
    """`GET [base]/[type]/[id]`."""
    kind, identity = request.path_params["kind"], request.path_params["identity"]
    if kind not in TYPES or not ID.fullmatch(identity):
        return outcome("not-found", 404)
    return FhirResponse(resource(kind, identity, "pt-001"))


async def search(request: Request) -> FhirResponse:
    """`GET [base]/[type]?patient=...&_count=...`."""
    kind = request.path_params["kind"]
    if kind not in TYPES:
        return outcome("not-supported", 404)
    patient = request.query_params.get("patient", "pt-001").removeprefix("Patient/")
    count = min(int(request.query_params.get("_count", "5")), 20)
    found = [resource(kind, f"{patient}-{number}", patient) for number in range(1, count + 1)]
    bundle = {"resourceType": "Bundle", "type": "searchset", "total": count, "entry": [{"resource": r} for r in found]}
    return FhirResponse(bundle)


def create_app() -> Starlette:
    """Join the routes."""
    return Starlette(routes=[Route("/fhir/{kind}", search), Route("/fhir/{kind}/{identity}", read)])
