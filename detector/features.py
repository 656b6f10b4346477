"""Events to numbers: one row a flow record, and one row a device and minute.

Counts and sizes become logarithms, so that ten times as much is the same step for a busy server and for a quiet modality.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from msgspec import Struct, field
from numpy.typing import NDArray

from nigrani.stream.event import Event
from nigrani.stream.events import (
    AiInference,
    DicomAssociation,
    FhirInteraction,
    Hl7Message,
    NetworkDns,
    NetworkFlow,
    NetworkSession,
)

WINDOW = 60
"""Seconds of a device's window."""
MAX_DISTINCT = 4096
"""Peers, ports and studies told apart in one window; beyond it the count stays."""

FAILED = frozenset({"S0", "REJ", "RSTOS0", "SH", "RSTRH"})
"""conn_state of a TCP connection that was never established."""


class Feature(NamedTuple):
    """One number of a device's window."""

    name: str
    """As an analyst reads it: `63 C-FIND requests`."""
    unit: float
    """Divides the value before the logarithm: 1 for counts, 1000 for bytes."""
    floor: float
    """The least step, in logarithms, that counts as one of the device's usual variation."""


WINDOW_FEATURES: tuple[Feature, ...] = (
    Feature("connections", 1, 0.5),
    Feature("failed connections", 1, 0.5),
    Feature("peers", 1, 0.5),
    Feature("destination ports", 1, 0.5),
    Feature("peers never seen before", 1, 0.5),
    Feature("bytes sent to the internet", 1000, 1.0),
    Feature("bytes sent", 1000, 1.0),
    Feature("bytes received", 1000, 1.0),
    Feature("retransmissions", 1, 1.0),
    Feature("strangeness of single flows", 1, 0.5),
    Feature("DNS questions", 1, 0.5),
    Feature("DNS names that do not exist", 1, 0.5),
    Feature("bytes in DNS names", 100, 0.5),
    Feature("DICOM associations", 1, 0.5),
    Feature("DICOM rejections and aborts", 1, 0.5),
    Feature("C-FIND requests", 1, 0.5),
    Feature("C-MOVE and C-GET requests", 1, 0.5),
    Feature("C-STORE requests", 1, 0.5),
    Feature("DICOM failures", 1, 0.5),
    Feature("HL7 messages", 1, 0.5),
    Feature("HL7 refusals", 1, 0.5),
    Feature("FHIR interactions", 1, 0.5),
    Feature("HTTP errors", 1, 0.5),
    Feature("SMB files opened", 1, 0.5),
    Feature("SMB files changed", 1, 0.5),
    Feature("SMB bytes written", 1000, 1.0),
    Feature("logons and sessions", 1, 0.5),
    Feature("refused requests", 1, 0.5),
    Feature("inferences", 1, 0.5),
    Feature("inference bytes", 1000, 1.0),
    Feature("studies inferred on", 1, 0.5),
    Feature("ARP requests", 1, 0.5),
)
(
    CONNECTIONS, FAILURES, PEERS, PORTS, NEW_PEERS, INTERNET, SENT, RECEIVED, RETRANSMITTED, EVIDENCE, QUESTIONS, ABSENT,
    NAMES, ASSOCIATIONS, REJECTED, FINDS, MOVES, STORES, DICOM_FAILED, MESSAGES, REFUSALS, INTERACTIONS, HTTP_ERRORS,
    OPENED, CHANGED, WRITTEN, SESSIONS, REFUSED, INFERENCES, INFERRED_BYTES, STUDIES, ARP,
) = range(len(WINDOW_FEATURES))  # fmt: skip

UNITS = np.array([feature.unit for feature in WINDOW_FEATURES])
FLOORS = np.array([feature.floor for feature in WINDOW_FEATURES])


class Window(Struct, gc=False):
    """What one device did in one minute."""

    device: str
    start: int
    """Seconds since the epoch, a multiple of the window."""
    values: list[float] = field(default_factory=lambda: [0.0] * len(WINDOW_FEATURES))
    peers: set[str] = field(default_factory=set)
    new_peers: set[str] = field(default_factory=set)
    ports: set[int] = field(default_factory=set)
    studies: set[str] = field(default_factory=set)
    events: list[str] = field(default_factory=list)
    """Ids of the first events, at most ten."""
    capped: int = 0
    """Times a set was full."""

    def row(self) -> list[float]:
        """The values in the order of WINDOW_FEATURES."""
        values = self.values
        values[PEERS] = len(self.peers)
        values[PORTS] = len(self.ports)
        values[NEW_PEERS] = len(self.new_peers)
        values[STUDIES] = len(self.studies)
        return values

    def add(self, event: Event, new: Sequence[str]) -> None:
        """Count one event of the device; `new` says what of it was never seen before."""
        if len(self.events) < 10:
            self.events.append(event.id)
        count = _COUNTERS.get(type(event))
        if count is not None:
            count(self, event, new)

    def _note(self, known: set[str], value: str) -> None:
        if len(known) < MAX_DISTINCT:
            known.add(value)
        elif value not in known:
            self.capped += 1


def _flow(window: Window, event: NetworkFlow, new: Sequence[str]) -> None:
    values = window.values
    if event.kind == "arp":
        values[ARP] += event.requests
        return
    values[CONNECTIONS] += 1
    if event.state in FAILED:
        values[FAILURES] += 1
    window._note(window.peers, event.destination)  # noqa: SLF001 - this module's own
    if event.transport in {"tcp", "udp"} and len(window.ports) < MAX_DISTINCT:
        window.ports.add(event.destination_port)
    if "peer" in new:
        window._note(window.new_peers, f"{event.destination}:{event.destination_port}")  # noqa: SLF001 - as above
    values[SENT] += event.source_payload
    values[RECEIVED] += event.destination_payload
    if event.destination_zone == "internet":
        values[INTERNET] += event.source_payload
    values[RETRANSMITTED] += event.source_retransmissions + event.destination_retransmissions


def _dns(window: Window, event: NetworkDns, _new: Sequence[str]) -> None:
    values = window.values
    if not event.rcode:
        values[QUESTIONS] += event.count
        values[NAMES] += event.name_length * event.count
    elif event.rcode == "NXDOMAIN":
        values[ABSENT] += event.count


_DICOM = {
    "associate-rq": ASSOCIATIONS, "reject": REJECTED, "abort": REJECTED, "c-find": FINDS, "c-move": MOVES,
    "c-get": MOVES, "c-store": STORES,
}  # fmt: skip


_FAILURES = frozenset({"01", "02"})
"""First digits of a failure beside A… and C… (PS3.7 annex C)."""


def _dicom(window: Window, event: DicomAssociation, _new: Sequence[str]) -> None:
    feature = _DICOM.get(event.action)
    if feature is not None:
        window.values[feature] += event.count
    elif event.status and (event.status[0] in "ACac" or event.status[:2] in _FAILURES):
        window.values[DICOM_FAILED] += event.count


def _hl7(window: Window, event: Hl7Message, _new: Sequence[str]) -> None:
    if event.direction == "response":
        if event.ack and event.ack[-1] != "A":
            window.values[REFUSALS] += event.count
    else:
        window.values[MESSAGES] += event.count


def _fhir(window: Window, event: FhirInteraction, _new: Sequence[str]) -> None:
    window.values[INTERACTIONS] += event.count
    if event.status >= 400:
        window.values[HTTP_ERRORS] += event.count


def _session(window: Window, event: NetworkSession, _new: Sequence[str]) -> None:
    values = window.values
    if event.outcome == "failure":
        values[HTTP_ERRORS if event.protocol == "http" else REFUSED] += event.count
    if event.protocol == "smb2":
        if event.action in {"create", "open"}:
            values[OPENED] += event.count
        elif event.action in {"rename", "delete", "write"}:
            values[CHANGED] += event.count
            values[WRITTEN] += event.size
    elif event.action in _LOGONS:
        values[SESSIONS] += event.count


_LOGONS = frozenset({"identification", "AS-REQ", "connection_request", "CONNECT", "client_hello"})


def _ai(window: Window, event: AiInference, _new: Sequence[str]) -> None:
    window.values[INFERENCES] += event.count
    window.values[INFERRED_BYTES] += event.request_bytes
    if event.study:
        window._note(window.studies, event.study)  # noqa: SLF001 - this module's own
    if event.status >= 400:
        window.values[HTTP_ERRORS] += event.count


_COUNTERS: dict[type[Event], Callable[[Window, Any, Sequence[str]], None]] = {
    NetworkFlow: _flow,
    NetworkDns: _dns,
    DicomAssociation: _dicom,
    Hl7Message: _hl7,
    FhirInteraction: _fhir,
    NetworkSession: _session,
    AiInference: _ai,
}


def window_matrix(rows: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """Rows of windows to logarithms, float64[n, len(WINDOW_FEATURES)]."""
    values = np.asarray(rows, dtype=np.float64).reshape(len(rows), len(WINDOW_FEATURES))
    result: NDArray[np.float64] = np.log1p(values / UNITS)
    return result


FLOW_FEATURES: tuple[str, ...] = (
    "payload sent",
    "payload received",
    "packets sent",
    "packets received",
    "duration",
    "time to first payload",
    "mean size sent",
    "mean size received",
    "size variation sent",
    "size variation received",
    "mean gap",
    "gap variation",
    "retransmissions",
    "share sent",
    "refused",
    "to the internet",
    "never seen peer",
    "unknown protocol",
)


def flow_row(event: NetworkFlow, new: Sequence[str]) -> tuple[float, ...]:
    """The raw numbers of one flow record, in the order of FLOW_FEATURES."""
    ours = event.source_size
    theirs = event.destination_size
    gap = event.source_gap
    return (
        event.source_payload,
        event.destination_payload,
        event.source_packets,
        event.destination_packets,
        event.duration,
        event.first_payload or 0,
        ours[1] if len(ours) == 4 else 0,
        theirs[1] if len(theirs) == 4 else 0,
        ours[3] if len(ours) == 4 else 0,
        theirs[3] if len(theirs) == 4 else 0,
        gap[1] if len(gap) == 4 else 0,
        gap[3] if len(gap) == 4 else 0,
        event.source_retransmissions + event.destination_retransmissions,
        0,
        event.state in FAILED,
        event.destination_zone == "internet",
        "peer" in new,
        not event.protocol,
    )


_SHARE = FLOW_FEATURES.index("share sent")


def flow_matrix(rows: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """Rows of flows to features, float64[n, len(FLOW_FEATURES)]: logarithms, the share of payload sent, and 0 or 1."""
    values = np.array(rows, dtype=np.float64).reshape(len(rows), len(FLOW_FEATURES))
    sent, received = values[:, 0], values[:, 1]
    share = (sent + 1) / (sent + received + 2)
    values[:, 4] /= 1e3
    values[:, :_SHARE] = np.log1p(np.minimum(values[:, :_SHARE], 1e15))
    values[:, _SHARE] = share
    return values
