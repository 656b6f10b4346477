"""`ai.training`: what a federated or local training said of its rounds, its updates and its data."""

from __future__ import annotations

from msgspec import field

from nigrani.stream.event import Address, Count, Event, Name, User, Word


class AiTraining(Event, kw_only=True, tag="ai.training"):
    """One step of a training, without its data and without its weights."""

    action: Word = field(name="event.action")
    """round, update, aggregate, task, result, filter, submit, login, dataset-change, job-start, job-end, … or admin."""
    provider: Word = field(name="event.provider", default="")
    """Who said so: nvflare-audit, training-ledger or integrity."""
    framework: Word = field(name="nigrani.training.framework", default="")
    outcome: Word = field(name="event.outcome", default="")
    source: Address = field(name="source.address", default="")
    source_zone: Word = field(name="nigrani.source.zone", default="")
    user: User = field(name="user.name", default="")
    site: Name = field(name="nigrani.training.site", default="")
    """The hospital that trains along."""
    job: Name = field(name="nigrani.training.job", default="")
    task: Word = field(name="nigrani.training.task", default="")
    """The framework's word: train, validate, submit_model, …"""
    round: Count = field(name="nigrani.training.round", default=0)
    samples: Count = field(name="nigrani.training.samples", default=0)
    """Examples that a site says its update rests on."""
    norm: float | None = field(name="nigrani.training.update.norm", default=None)
    """L2 norm of the update."""
    cosine: float | None = field(name="nigrani.training.update.cosine", default=None)
    """Between the update and the aggregate of its round, -1 to 1."""
    loss: float | None = field(name="nigrani.training.loss", default=None)
    dataset: Name = field(name="nigrani.dataset.name", default="")
    added: Count = field(name="nigrani.dataset.added", default=0)
    removed: Count = field(name="nigrani.dataset.removed", default=0)
    changed: Count = field(name="nigrani.dataset.changed", default=0)
    relabelled: Count = field(name="nigrani.dataset.relabelled", default=0)
