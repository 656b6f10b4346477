"""`fhir.interaction`: what a client did to a FHIR server, by its request line and status."""

from __future__ import annotations

from msgspec import field

from nigrani.stream.event import Conversation, Count, Word


class FhirInteraction(Conversation, kw_only=True, tag="fhir.interaction"):
    """One kind of RESTful interaction (FHIR R4 §3.1.0, http.html)."""

    interaction: Word = field(name="fhir.interaction")
    """read, vread, update, patch, delete, history, create, search, capabilities, batch, operation."""
    resource_type: Word = field(name="fhir.resource_type", default="")
    operation: Word = field(name="fhir.operation", default="")
    """`$export`, `$everything`, …"""
    method: Word = field(name="http.request.method", default="")
    status: Count = field(name="http.response.status_code", default=0)
    """0 while no response has been seen."""
    authorization: Word = field(name="nigrani.http.authorization", default="")
    """Scheme of the Authorization header (bearer, basic, …), never its value; empty where there is none."""
    page_size: Count = field(name="fhir.page_size", default=0)
    """`_count` of a search."""
    client: Word = field(name="user_agent.name", default="")
    """Product name of the User-Agent, without version or comment."""
    response_bytes: Count = field(name="http.response.body.bytes", default=0)
    """Sum of Content-Length of the responses."""
