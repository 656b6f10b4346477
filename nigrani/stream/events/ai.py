"""`ai.inference`: one request to an inference server, as its gateway logged it."""

from __future__ import annotations

from msgspec import field

from nigrani.stream.event import Address, Count, Event, Port, Study, User, Word


class AiInference(Event, kw_only=True, tag="ai.inference"):
    """One inference, without its input or its answer."""

    source: Address = field(name="source.address")
    source_zone: Word = field(name="nigrani.source.zone", default="")
    destination: Address = field(name="destination.address", default="")
    destination_port: Port = field(name="destination.port", default=0)
    user: User = field(name="user.name", default="")
    """Certificate subject or API key id."""
    server: Word = field(name="nigrani.ai.server", default="")
    """The kind of server, told by the shape of its paths: triton, kserve, torchserve, ollama, openai."""
    model: Word = field(name="gen_ai.request.model", default="")
    action: Word = field(name="event.action", default="")
    """predict, chat, embed, or admin for anything that changes the server."""
    method: Word = field(name="http.request.method", default="")
    status: Count = field(name="http.response.status_code", default=0)
    request_bytes: Count = field(name="http.request.bytes", default=0)
    response_bytes: Count = field(name="http.response.bytes", default=0)
    duration: Count = field(name="event.duration", default=0)
    """Nanoseconds."""
    study: Study = field(name="nigrani.study", default="")
    sketch: list[Word] = field(name="nigrani.ai.input.sketch", default_factory=list)
    """Salted similarity sketch of the input, made by the tap beside the server; at most 16 parts."""
    confidence: float | None = field(name="nigrani.ai.output.confidence", default=None)
    """Top-1 confidence, 0–1."""
    entropy: float | None = field(name="nigrani.ai.output.entropy", default=None)
