"""What several tests of the detector need: events by hand, a benign morning, lines at the edge, and a baseline learnt."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pytest
from hypothesis import strategies as st
from msgspec import inspect as mi

from detector.baseline import Baseline
from detector.engine import Knowledge
from detector.learn import Lesson
from nigrani.stream.codec import decode, encode
from nigrani.stream.event import Event
from nigrani.stream.events import (
    DATASETS,
    AgentStatus,
    AiInference,
    AiModelAccess,
    DicomAssociation,
    DicomAudit,
    FhirInteraction,
    Hl7Message,
    NetworkDns,
    NetworkFlow,
    NetworkSession,
)

ROOT = Path(__file__).parents[2]
START = datetime(2026, 3, 2, 8, tzinfo=UTC)
"""A full hour, so that an hour's alerts are told apart by eye."""

_Kind = TypeVar("_Kind", bound=Event)


class Maker:
    """Makes events: what a test does not say is plain and benign. Ids count up, so that two makers make the same."""

    start = START

    def __init__(self) -> None:
        self._ids = itertools.count()

    def flow(self, at: float = 0, host: str = "ip:ws", **fields: Any) -> NetworkFlow:
        """A TCP connection to the archive that was closed in peace."""
        plain: dict[str, Any] = {
            "source": host, "destination": "ip:pacs", "destination_port": 11112, "transport": "tcp", "kind": "ipv4",
            "protocol": "dicom", "state": "SF", "source_zone": "clinical", "destination_zone": "clinical",
        }  # fmt: skip
        return self._make(NetworkFlow, at, host, plain | fields)

    def dns(self, at: float = 0, host: str = "ip:ws", **fields: Any) -> NetworkDns:
        """A question to the resolver."""
        return self._make(NetworkDns, at, host, {"source": host, "destination": "ip:dns", **fields})

    def session(self, at: float = 0, host: str = "ip:ws", **fields: Any) -> NetworkSession:
        """An act of an ordinary protocol; HTTP where the test names none."""
        plain = {"source": host, "destination": "ip:web", "protocol": "http"}
        return self._make(NetworkSession, at, host, plain | fields)

    def dicom(self, action: str, at: float = 0, host: str = "ip:ws", **fields: Any) -> DicomAssociation:
        """An act on an association with the archive."""
        plain = {"source": host, "destination": "ip:pacs", "action": action, "calling_ae": "WS", "called_ae": "PACS"}
        return self._make(DicomAssociation, at, host, plain | fields)

    def hl7(self, at: float = 0, host: str = "ip:his", **fields: Any) -> Hl7Message:
        """A message from the hospital's information system."""
        plain = {"source": host, "destination": "ip:engine", "direction": "request", "sending_application": "HIS"}
        return self._make(Hl7Message, at, host, plain | fields)

    def fhir(self, at: float = 0, host: str = "ip:ws", **fields: Any) -> FhirInteraction:
        """A read from the FHIR server."""
        plain = {"source": host, "destination": "ip:fhir", "interaction": "read"}
        return self._make(FhirInteraction, at, host, plain | fields)

    def ai(self, at: float = 0, host: str = "ip:ws", **fields: Any) -> AiInference:
        """A prediction."""
        plain = {"source": host, "model": "chest", "action": "predict", "status": 200}
        return self._make(AiInference, at, host, plain | fields)

    def access(self, at: float = 0, host: str = "ip:release", **fields: Any) -> AiModelAccess:
        """An administrator's request to an inference server."""
        plain = {"source": host, "source_zone": "ai", "destination": "ip:ai", "action": "load", "server": "triton"}
        return self._make(AiModelAccess, at, host, plain | fields)

    def audit(self, at: float = 0, host: str = "ip:ct", **fields: Any) -> DicomAudit:
        """What an archive says of itself."""
        return self._make(DicomAudit, at, host, {"source": host, "action": "store", "outcome": "success"} | fields)

    def status(self, at: float = 0, host: str = "ip:ws", **fields: Any) -> AgentStatus:
        """An agent's heartbeat."""
        return self._make(AgentStatus, at, host, fields)

    def scan(self, at: float = 0, host: str = "ip:ws", ports: int = 60, *, seconds: float = 30) -> list[Event]:
        """Refused connections to many ports of the archive: the rule `port_scan` tells of more than forty in a minute."""
        return [
            self.flow(at + seconds * n / ports, host, destination_port=1 + n, state="REJ", protocol="") for n in range(ports)
        ]

    def morning(self, minutes: int, seed: int = 1, at: float = 0, devices: int = 4) -> list[Event]:
        """What `devices` workstations and an information system do on benign minutes, in the order of time.

        Counts are Poisson with each device's own rate and sizes lognormal: the same seed gives the same morning.
        """
        random = np.random.default_rng(seed)
        events: list[Event] = []
        for minute in range(minutes):
            first = at + 60 * minute

            def moments(rate: float, first: float = first) -> Iterator[float]:
                """So many moments of the minute as chance has it."""
                return (first + float(moment) for moment in random.uniform(0, 60, random.poisson(rate)))

            for number in range(devices):
                host, title = f"ip:ws{number}", f"WS{number}"
                events.extend(self._benign_flow(random, moment, host, number) for moment in moments(3.0 + 4 * number))
                events.extend(self.dicom("c-find", moment, host, calling_ae=title) for moment in moments((1 + number) / 2))
                events.extend(self.dns(moment, host, question="clinic.test", name_length=14) for moment in moments(1.0))
            events.extend(self.hl7(moment) for moment in moments(2.0))
        events.sort(key=lambda event: event.timestamp)
        return events

    def _benign_flow(self, random: np.random.Generator, at: float, host: str, number: int) -> NetworkFlow:
        sent, received = (int(size) for size in random.lognormal((6, 9), 0.8))
        packets = 4 + sent // 1000
        return self.flow(
            at,
            host,
            destination=f"ip:server{int(random.integers(0, 2 + number))}",
            source_payload=sent,
            destination_payload=received,
            source_packets=packets,
            destination_packets=4 + received // 1400,
            duration=int(random.lognormal(18, 1)),
            first_payload=int(random.integers(200, 2000)),
            source_size=[40, sent // packets + 40, 1400, 200],
            destination_size=[40, 900, 1400, 300],
            source_gap=[10, int(random.integers(500, 5000)), 20_000, 800],
        )

    def _make(self, kind: type[_Kind], at: float, host: str, fields: dict[str, Any]) -> _Kind:
        number = next(self._ids)
        when = START + timedelta(seconds=at)
        given: dict[str, Any] = {"timestamp": when, "id": f"e{number}", "sequence": number, "agent": "a", "host": host}
        made = decode(encode(kind(**(given | fields))))
        assert isinstance(made, kind)
        return made


@pytest.fixture
def make() -> Maker:
    """Events by hand."""
    return Maker()


class Learnt(NamedTuple):
    """A baseline of forty benign minutes, and what it was learnt from."""

    baseline: Baseline
    knowledge: Knowledge
    events: list[Event]
    end: float
    """Seconds after the start at which the lesson ended."""


@pytest.fixture(scope="session")
def learnt() -> Learnt:
    """Learnt once for all tests; nobody changes it."""
    lesson = Lesson()
    events = Maker().morning(40)
    for event in events:
        lesson.add(event)
    baseline = lesson.baseline()
    return Learnt(baseline, Knowledge.of(baseline), events, 40 * 60)


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of the test's own."""
    folder = tmp_path / "state"
    monkeypatch.setenv("NIGRANI_STATE", str(folder))
    return folder


Run = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture
def nigrani(state: Path) -> Run:
    """The command as a user runs it, from its words to its exit code; it must never end in a traceback."""

    def run(*words: str | Path, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "nigrani.cli", *map(str, words)]
        done = subprocess.run(command, input=given, capture_output=True, check=False, timeout=60, cwd=ROOT)
        assert b"Traceback" not in done.stderr, done.stderr.decode()
        return done

    return run


EDGES = [0, 1, 2, 65535, 65536, 2**31, 2**32, 2**53 - 1]
"""As large as a number of JSON can be without losing a unit (RFC 8259 §6)."""
TEXTS = ["", " ", "\x00", "\x1b[2J", "A700", "c-find", "request", "REJ", "arp", "é" * 64, "x" * 64]
MOMENTS = [
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+23:00",
    "1969-12-31T23:59:59.5Z",
    "1970-01-01T00:00:00Z",
    "2026-03-02T08:00:00Z",
    "2026-03-02T08:00:30.123456Z",
    "2026-03-02T08:02:59+05:30",
    "2026-03-02T13:29:59+05:30",
    "2036-03-02T08:00:00Z",
    "9999-12-31T23:59:59.999999Z",
]


def _edge(kind: mi.Type) -> st.SearchStrategy[Any]:  # noqa: PLR0911 - one for each type
    """JSON values at the edge of what a field can hold."""
    match kind:
        case mi.Metadata(type=inner):
            return _edge(inner)
        case mi.StrType():
            return st.sampled_from(TEXTS)
        case mi.IntType():
            return st.sampled_from([value for value in EDGES if kind.le is None or value <= kind.le])
        case mi.FloatType():
            return st.sampled_from([0.0, -1.0, 1e308])
        case mi.DateTimeType():
            return st.sampled_from(MOMENTS)
        case mi.ListType(item_type=item):
            return st.lists(_edge(item), max_size=6)
        case mi.DictType(key_type=key, value_type=value):
            return st.dictionaries(_edge(key), _edge(value), max_size=3)
        case mi.UnionType(types=types):
            return st.one_of(*map(_edge, types))
        case mi.NoneType():
            return st.none()
    raise NotImplementedError(kind)


def _line(name: str) -> st.SearchStrategy[bytes]:
    info = mi.type_info(DATASETS[name])
    assert isinstance(info, mi.StructType)
    required = {field.encode_name: _edge(field.type) for field in info.fields if field.required}
    optional = {field.encode_name: _edge(field.type) for field in info.fields if not field.required}
    given = st.fixed_dictionaries({"event.dataset": st.just(name), **required}, optional=optional)
    return given.map(lambda fields: json.dumps(fields).encode())


@pytest.fixture(scope="session")
def edge_lines() -> dict[str, st.SearchStrategy[bytes]]:
    """Dataset → lines of it whose values are as large, as long, as early and as late as they can be."""
    return {name: _line(name) for name in DATASETS}
