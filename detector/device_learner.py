"""Which class each device of a lesson is of: by what it was answered, and what it answered, not by what it only tried.

Learnt with the rest of the baseline and signed with it: what a device does afterwards does not change what it is taken for.
The same events tell the same, in whatever order they come.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detector.baseline import MAX_SEEN, value_hash
from detector.device_class import CLASSES, UNKNOWN, told_by
from nigrani.stream.event import Event
from nigrani.stream.events import (
    AiInference,
    AiModelAccess,
    DicomAssociation,
    FhirInteraction,
    Hl7Message,
    NetworkFlow,
    NetworkSession,
)

LEAST = 3
"""Transactions from which a sign is believed."""
MAX_DEVICES = 65_536
"""Devices kept; those with the least evidence are left out, and counted."""
OUTSIDE = "internet"
"""The zone whose addresses are nobody's device."""

Signs = Iterable[tuple[bool, str]]
"""(Whether it is about the source, the sign)."""

WORKLIST = "1.2.840.10008.5.1.4.31"
"""Modality Worklist Information Model (PS3.4 annex K)."""
PERFORMED_STEP = "1.2.840.10008.3.1.2.3.3"
"""Modality Performed Procedure Step (PS3.4 annex F)."""
PRINT = "1.2.840.10008.5.1.1."
"""Print Management (PS3.4 annex H)."""
_DONE = frozenset({"0000", "0001", "FF00", "FF01"})
"""Statuses of success and of more to come, beside the warnings B… (PS3.7 annex C)."""


_QUERIED: Signs = ((True, "queries"), (False, "queried"))
_DICOM: dict[tuple[str, str], Signs] = {
    ("c-store-rsp", ""): ((True, "stores"), (False, "stored")),
    ("c-find-rsp", ""): _QUERIED,
    ("c-find-rsp", WORKLIST): ((True, "worklist"), (False, "lists")),
    ("c-move-rsp", ""): _QUERIED,
    ("c-get-rsp", ""): _QUERIED,
    ("n-create-rsp", PERFORMED_STEP): ((True, "performs"), (False, "lists")),
    ("n-create-rsp", PRINT): ((False, "prints"),),
}
"""By the response, and its SOP class where that matters."""


def _dicom(event: DicomAssociation) -> Signs:
    if event.status not in _DONE and not event.status.startswith("B"):
        return ()
    sop_class = PRINT if event.sop_class.startswith(PRINT) else event.sop_class
    return _DICOM.get((event.action, sop_class)) or _DICOM.get((event.action, ""), ())


_HL7 = dict.fromkeys(("ADT", "SIU", "BAR", "DFT"), "admits") | dict.fromkeys(("ORU", "OUL", "ORL"), "results")
_HL7 |= dict.fromkeys(("ORM", "OMG", "OMI", "OML"), "orders")


def _hl7(event: Hl7Message) -> Signs:
    if event.direction == "response":
        return ((False, "hears"),) if event.ack in {"AA", "CA"} else ()
    sign = _HL7.get(event.code)
    return ((True, sign),) if sign else ()


def _fhir(event: FhirInteraction) -> Signs:
    return ((False, "fhir"), (True, "web")) if 200 <= event.status < 400 else ()


def _inference(event: AiInference) -> Signs:
    return ((True, "infers"), (False, "infers-for")) if 200 <= event.status < 300 else ()


def _model(event: AiModelAccess) -> Signs:
    return ((False, "infers-for"),) if 200 <= event.status < 300 else ()


def _session(event: NetworkSession) -> Signs:
    if event.protocol == "dhcp" and event.action == "BOOTREPLY":
        return ((True, "resolves"),)
    if event.protocol == "smb2" and event.share_kind == "print" and event.outcome == "success":
        return ((False, "prints"),)
    return ()


_ANSWERED = frozenset({"SF", "S1", "S2", "S3", "RSTO", "RSTR"})
"""conn_state of a TCP connection that was established."""
_PRINTING = frozenset({515, 631, 9100})
"""LPD (RFC 1179), IPP (RFC 8010), raw printing."""
_BY_PROTOCOL: dict[str, Signs] = {
    "http": ((True, "web"), (False, "serves")),
    "tls": ((True, "web"), (False, "serves")),
    "smb2": ((True, "files"), (False, "shares")),
    "ssh": ((True, "shell"),),
    "rdp": ((True, "shell"),),
    "kerberos": ((True, "login"), (False, "authenticates")),
    "mqtt": ((True, "publishes"), (False, "serves")),
    "sip": ((True, "calls"), (False, "calls")),
    "dns": ((False, "resolves"),),
}
"""By the protocol that a conversation's content told."""


def _flow(event: NetworkFlow) -> Signs:
    if not event.destination_payload or not (event.transport == "udp" or event.state in _ANSWERED):
        return ()
    if event.transport == "tcp" and event.destination_port in _PRINTING:
        return ((False, "prints"),)
    return _BY_PROTOCOL.get(event.protocol, ())


_SIGNS: dict[type[Event], Callable[[Any], Signs]] = {
    NetworkFlow: _flow,
    NetworkSession: _session,
    DicomAssociation: _dicom,
    Hl7Message: _hl7,
    FhirInteraction: _fhir,
    AiInference: _inference,
    AiModelAccess: _model,
}


class DeviceClasses:
    """The classes learnt, by the hash of a device's token: no token can be read back."""

    def __init__(self, devices: NDArray[Any], codes: NDArray[Any], names: Iterable[str]) -> None:
        """devices: uint64[n], strictly ascending. codes: uint8[n], into the names. Raises ValueError where they are not."""
        if devices.dtype != np.uint64 or devices.ndim != 1 or (devices[1:] <= devices[:-1]).any():
            raise ValueError("classified devices must be strictly ascending uint64 of one dimension")
        self._devices, self._codes, self._names = devices, codes, tuple(names)
        if codes.dtype != np.uint8 or codes.shape != devices.shape or (codes >= len(self._names)).any():
            raise ValueError("the devices' classes do not fit the devices")
        self._known: dict[str, str] = {}

    @classmethod
    def build(cls, classes: Mapping[str, str]) -> DeviceClasses:
        """Of devices' tokens and their classes."""
        names = tuple(CLASSES)
        by_hash = {value_hash(token): names.index(name) for token, name in sorted(classes.items())}
        devices = np.array(sorted(by_hash), dtype=np.uint64)
        return cls(devices, np.array([by_hash[one] for one in sorted(by_hash)], dtype=np.uint8), names)

    def __len__(self) -> int:
        """How many devices have a class."""
        return len(self._devices)

    def of(self, token: str) -> str:
        """The class of a device."""
        name = self._known.get(token)
        if name is None:
            if len(self._known) >= MAX_SEEN:
                self._known.clear()
            name = self._known[token] = self._find(token)
        return name

    def _find(self, token: str) -> str:
        wanted = np.uint64(value_hash(token))
        at = int(np.searchsorted(self._devices, wanted))
        if at == len(self._devices) or self._devices[at] != wanted:
            return UNKNOWN
        name = self._names[self._codes[at]]
        return name if name in CLASSES else UNKNOWN

    def arrays(self) -> dict[str, NDArray[Any]]:
        """For the baseline's file, with the names that the codes mean: a later version may have others."""
        return {"devices": self._devices, "codes": self._codes, "names": np.array(self._names, dtype=np.str_)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> DeviceClasses:
        """Of a file. Raises ValueError where they cannot be."""
        absent = [name for name in ("devices", "codes", "names") if name not in arrays]
        if absent:
            raise ValueError(f"the device classes lack the array {absent[0]}")
        names = arrays["names"]
        if names.dtype.kind != "U" or names.ndim != 1:
            raise ValueError("the names of device classes must be a list of texts")
        return cls(arrays["devices"], arrays["codes"], map(str, names))


class _Sign(NamedTuple):
    """Evidence of one sign about one device."""

    token: str
    name: str


class Learner:
    """Gathers signs; no more of them than two for each event of a lesson, which is bounded."""

    def __init__(self) -> None:
        self._counts: Counter[_Sign] = Counter()
        self._peer: dict[_Sign, str | None] = {}
        """The one peer that a sign was given with; None where there were several."""
        self.dropped = 0
        """Devices left out."""

    def add(self, event: Event) -> None:
        """Learn the event's signs."""
        tell = _SIGNS.get(type(event))
        for at_source, name in tell(event) if tell is not None else ():
            self._note(event, name, at_source=at_source)

    def _note(self, event: Any, name: str, *, at_source: bool) -> None:
        ends = event.source, event.destination
        token, peer = ends if at_source else ends[::-1]
        zone = event.source_zone if at_source else getattr(event, "destination_zone", "")
        if not token or zone == OUTSIDE:
            return
        sign = _Sign(token, name)
        self._counts[sign] += event.count
        if self._peer.setdefault(sign, peer) != peer:
            self._peer[sign] = None

    def classes(self) -> DeviceClasses:
        """What has been learnt."""
        signs: dict[str, set[str]] = {}
        weights: Counter[str] = Counter()
        for sign, count in self._believed():
            signs.setdefault(sign.token, set()).add(sign.name)
            weights[sign.token] += count
            if self._peer[sign] is None:
                signs[sign.token].add(f"{sign.name}+")
        told = {token: name for token, found in signs.items() if (name := told_by(found)) != UNKNOWN}
        kept = heapq.nsmallest(MAX_DEVICES, told, key=lambda token: (-weights[token], token))
        self.dropped = len(told) - len(kept)
        return DeviceClasses.build({token: told[token] for token in kept})

    def _believed(self) -> Iterator[tuple[_Sign, int]]:
        return ((sign, count) for sign, count in self._counts.items() if count >= LEAST)
