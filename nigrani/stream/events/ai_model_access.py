"""`ai.model_access`: who changed what an inference server serves, and what happened to model and dataset files."""

from __future__ import annotations

from msgspec import field

from nigrani.stream.event import Address, Count, Event, Name, Port, User, Word


class AiModelAccess(Event, kw_only=True, tag="ai.model_access"):
    """One change of a model, its file or its server's settings."""

    action: Word = field(name="event.action")
    """load, unload, register, download, upload, delete, list, config, log-content; of a file created, changed, removed,
    owner or present."""
    provider: Word = field(name="event.provider", default="")
    """Who said so: the log's format, or integrity."""
    outcome: Word = field(name="event.outcome", default="")
    source: Address = field(name="source.address", default="")
    source_zone: Word = field(name="nigrani.source.zone", default="")
    destination: Address = field(name="destination.address", default="")
    destination_port: Port = field(name="destination.port", default=0)
    user: User = field(name="user.name", default="")
    server: Word = field(name="nigrani.ai.server", default="")
    """The kind of server: triton, kserve, torchserve, ollama, openai, monai."""
    model: Word = field(name="gen_ai.request.model", default="")
    status: Count = field(name="http.response.status_code", default=0)
    place: Word = field(name="nigrani.file.place", default="")
    """Where the model comes from: store, temporary, home or remote."""
    kind: Word = field(name="nigrani.file.kind", default="")
    """model, dataset or manifest."""
    path: Name = field(name="file.path", default="")
    extension: Word = field(name="file.extension", default="")
    """Of a model's or dataset's kind; other where it is none."""
    size: Count = field(name="file.size", default=0)
    owner: Word = field(name="nigrani.file.owner", default="")
    """root, service (a system account), person, or unknown."""
    writable: Word = field(name="nigrani.file.writable", default="")
    """Who else can write it: nobody, group or everybody."""
    manifest: Word = field(name="nigrani.file.manifest", default="")
    """listed, differs, unlisted or missing; empty where there is no manifest."""
    signature: Word = field(name="nigrani.file.signature", default="")
    """Of the manifest: valid, invalid, absent, unknown-key or unchecked; empty where no key is known."""
    sha256: Word = field(name="file.hash.sha256", default="")
    """Of a model's file only: a dataset's may tell whose it is."""
