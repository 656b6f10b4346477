"""What has been seen before: who talks to whom, which AE titles, applications, clients and names there are.

An event's first-time facts are worth more than its sizes: a rogue modality, a new move destination or a client that never
asked the model before is new once, and is told in the rules' field `nigrani.new`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from detector.baseline import SeenSet
from nigrani.stream.event import Event
from nigrani.stream.events import (
    AiInference,
    AiModelAccess,
    DicomAssociation,
    FhirInteraction,
    Hl7Message,
    NetworkDns,
    NetworkFlow,
    NetworkSession,
)

KINDS = (
    "device",
    "peer",
    "calling_ae",
    "called_ae",
    "move_destination",
    "sending_application",
    "client",
    "fhir_client",
    "server_name",
    "dns_suffix",
    "hl7_trigger",
    "ai_admin",
    "ai_admin_zone",
)
"""The words of `nigrani.new`."""
YOUNG = frozenset({"hl7_trigger", "ai_admin", "ai_admin_zone"})
"""Kinds that a baseline of an earlier release lacks; with one, nothing of them is new."""
ADMINISTRATION = frozenset({"load", "unload", "register", "delete", "download", "upload", "config", "log-content"})
"""What changes an inference server; `list` and what a watched folder tells does not."""

EPHEMERAL = 32_768
"""From this port on, one is as good as another."""
MAX_VALUES = 1_000_000
"""Values of one kind learnt at most; beyond it new ones are not learnt, and counted."""

Facts = Iterable[tuple[str, str]]


def _flow(event: NetworkFlow) -> Facts:
    port = event.destination_port if event.destination_port < EPHEMERAL else 0
    return (("device", event.host), ("peer", f"{event.source}|{event.destination}|{event.transport}|{port}"))


def _dicom(event: DicomAssociation) -> Facts:
    facts = []
    if event.calling_ae:
        facts.append(("calling_ae", f"{event.source}|{event.calling_ae}"))
    if event.called_ae:
        facts.append(("called_ae", f"{event.destination}|{event.called_ae}"))
    if event.move_destination:
        facts.append(("move_destination", f"{event.destination}|{event.move_destination}"))
    return facts


def _hl7(event: Hl7Message) -> Facts:
    if event.direction == "response" or not event.sending_application:
        return ()
    sender = f"{event.source}|{event.sending_application}"
    return (("sending_application", sender), ("hl7_trigger", f"{sender}|{event.code}^{event.trigger}"))


def _ai(event: AiInference) -> Facts:
    return (("client", f"{event.source}|{event.model}"),)


def _ai_admin(event: AiModelAccess) -> Facts:
    """Of what was done: a refusal makes nobody an administrator."""
    if not event.source or event.action not in ADMINISTRATION or event.status >= 400:
        return ()
    client = f"{event.source}|{event.destination}|{event.server}"
    return (("ai_admin", client), ("ai_admin_zone", f"{event.source_zone}|{event.server}"))


def _fhir(event: FhirInteraction) -> Facts:
    return (("fhir_client", f"{event.source}|{event.destination}"),)


def _session(event: NetworkSession) -> Facts:
    return (("server_name", f"{event.source}|{event.server_name}"),) if event.server_name else ()


def _dns(event: NetworkDns) -> Facts:
    return (("dns_suffix", event.question),) if event.question else ()


_FACTS: dict[type[Event], Callable[[Any], Facts]] = {
    NetworkFlow: _flow,
    DicomAssociation: _dicom,
    Hl7Message: _hl7,
    AiInference: _ai,
    AiModelAccess: _ai_admin,
    FhirInteraction: _fhir,
    NetworkSession: _session,
    NetworkDns: _dns,
}


class _Everything:
    """Stands for a set that a baseline lacks."""

    def __contains__(self, value: str) -> bool:
        return True


class Seen:
    """The sets of a baseline."""

    def __init__(self, sets: Mapping[str, SeenSet]) -> None:
        self._sets = dict(sets)
        self._known: dict[str, SeenSet | _Everything] = {kind: sets.get(kind, _Everything()) for kind in KINDS}

    def new(self, event: Event) -> tuple[str, ...]:
        """Which kinds of fact of the event were never seen."""
        facts = _FACTS.get(type(event))
        if facts is None:
            return ()
        known = self._known
        found = [kind for kind, value in facts(event) if value not in known[kind]]
        return tuple(found) if found else ()

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The sets for the baseline's file, by kind."""
        return {kind: known.hashes for kind, known in self._sets.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Seen:
        """The sets of a file. Raises ValueError where a kind is missing or is no set."""
        absent = [kind for kind in KINDS if kind not in arrays and kind not in YOUNG]
        if absent:
            raise ValueError(f"the baseline has no set of {', '.join(absent)}")
        return cls({kind: SeenSet(arrays[kind]) for kind in KINDS if kind in arrays})


class Learner:
    """Gathers the sets."""

    def __init__(self) -> None:
        self._values: dict[str, set[str]] = {kind: set() for kind in KINDS}
        self.dropped = 0

    def add(self, event: Event) -> None:
        """Learn the event's facts."""
        facts = _FACTS.get(type(event))
        if facts is None:
            return
        for kind, value in facts(event):
            known = self._values[kind]
            if len(known) < MAX_VALUES:
                known.add(value)
            elif value not in known:
                self.dropped += 1

    def seen(self) -> Seen:
        """What has been learnt."""
        return Seen({kind: SeenSet.build(values) for kind, values in self._values.items()})


def union(learners: Sequence[Learner]) -> Learner:
    """What any of them has learnt."""
    whole = Learner()
    for learner in learners:
        for kind, values in learner._values.items():  # noqa: SLF001 - this module's own
            whole._values[kind] |= values  # noqa: SLF001 - as above
    return whole
