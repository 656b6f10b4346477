"""Each dataset's counters land in the features they are named for, and in no other."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector import features
from detector.features import (
    FAILED,
    FLOORS,
    FLOW_FEATURES,
    UNITS,
    WINDOW_FEATURES,
    Window,
    flow_matrix,
    flow_row,
    window_matrix,
)
from nigrani.stream.codec import decode
from nigrani.stream.events import NetworkFlow

if TYPE_CHECKING:
    from tests.detector.conftest import Maker

NAMES = [feature.name for feature in WINDOW_FEATURES]

CASES: list[tuple[str, dict[str, object], tuple[str, ...], dict[str, float]]] = [
    ("flow", {}, (), {"connections": 1, "peers": 1, "destination ports": 1}),
    (
        "flow",
        {"source_payload": 700, "destination_payload": 900, "source_retransmissions": 2, "destination_retransmissions": 3},
        (),
        {
            "connections": 1, "peers": 1, "destination ports": 1, "bytes sent": 700, "bytes received": 900,
            "retransmissions": 5,
        },
    ),
    (
        "flow",
        {"source_payload": 700, "destination_zone": "internet"},
        (),
        {"connections": 1, "peers": 1, "destination ports": 1, "bytes sent": 700, "bytes sent to the internet": 700},
    ),
    ("flow", {}, ("device", "peer"), {"connections": 1, "peers": 1, "destination ports": 1, "peers never seen before": 1}),
    ("flow", {}, ("device",), {"connections": 1, "peers": 1, "destination ports": 1}),
    ("flow", {"transport": "icmp", "state": ""}, (), {"connections": 1, "peers": 1}),
    ("flow", {"kind": "arp", "transport": "arp", "requests": 9, "replies": 4}, ("peer",), {"ARP requests": 9}),
    ("dns", {"count": 3, "name_length": 20}, (), {"DNS questions": 3, "bytes in DNS names": 60}),
    ("dns", {"count": 3, "name_length": 20, "rcode": "NXDOMAIN"}, (), {"DNS names that do not exist": 3}),
    ("dns", {"count": 3, "name_length": 20, "rcode": "NOERROR"}, (), {}),
    ("dicom associate-rq", {"count": 2}, (), {"DICOM associations": 2}),
    ("dicom reject", {"count": 2}, (), {"DICOM rejections and aborts": 2}),
    ("dicom abort", {"count": 2}, (), {"DICOM rejections and aborts": 2}),
    ("dicom c-find", {"count": 63}, (), {"C-FIND requests": 63}),
    ("dicom c-move", {"count": 2}, (), {"C-MOVE and C-GET requests": 2}),
    ("dicom c-get", {"count": 2}, (), {"C-MOVE and C-GET requests": 2}),
    ("dicom c-store", {"count": 2}, (), {"C-STORE requests": 2}),
    ("dicom c-find-rsp", {"count": 2, "status": "A700"}, (), {"DICOM failures": 2}),
    ("dicom c-find-rsp", {"count": 2, "status": "c001"}, (), {"DICOM failures": 2}),
    ("dicom c-find-rsp", {"count": 2, "status": "0000"}, (), {}),
    ("dicom c-find-rsp", {"count": 2, "status": "FF00"}, (), {}),
    ("dicom c-store-rsp", {"count": 2, "status": "B000"}, (), {}),
    ("dicom release", {"count": 2}, (), {}),
    ("hl7", {"count": 4, "code": "ADT"}, (), {"HL7 messages": 4}),
    ("hl7", {"count": 4, "direction": "response", "ack": "AA"}, (), {}),
    ("hl7", {"count": 4, "direction": "response", "ack": "CA"}, (), {}),
    ("hl7", {"count": 4, "direction": "response", "ack": "AE"}, (), {"HL7 refusals": 4}),
    ("hl7", {"count": 4, "direction": "response", "ack": "AR"}, (), {"HL7 refusals": 4}),
    ("hl7", {"count": 4, "direction": "response"}, (), {}),
    ("fhir", {"count": 5, "status": 200}, (), {"FHIR interactions": 5}),
    ("fhir", {"count": 5, "status": 403}, (), {"FHIR interactions": 5, "HTTP errors": 5}),
    ("fhir", {"count": 5}, (), {"FHIR interactions": 5}),
    ("session", {"action": "GET", "outcome": "success"}, (), {}),
    ("session", {"action": "GET", "outcome": "failure", "count": 2}, (), {"HTTP errors": 2}),
    ("session", {"protocol": "ssh", "action": "identification", "count": 2}, (), {"logons and sessions": 2}),
    ("session", {"protocol": "kerberos", "action": "AS-REQ"}, (), {"logons and sessions": 1}),
    (
        "session",
        {"protocol": "mqtt", "action": "CONNECT", "outcome": "failure"},
        (),
        {"logons and sessions": 1, "refused requests": 1},
    ),
    ("session", {"protocol": "tls", "action": "client_hello"}, (), {"logons and sessions": 1}),
    ("session", {"protocol": "smb2", "action": "create", "count": 2}, (), {"SMB files opened": 2}),
    ("session", {"protocol": "smb2", "action": "open", "count": 2}, (), {"SMB files opened": 2}),
    (
        "session",
        {"protocol": "smb2", "action": "write", "count": 3, "size": 4000},
        (),
        {"SMB files changed": 3, "SMB bytes written": 4000},
    ),
    ("session", {"protocol": "smb2", "action": "rename"}, (), {"SMB files changed": 1}),
    ("session", {"protocol": "smb2", "action": "delete"}, (), {"SMB files changed": 1}),
    ("session", {"protocol": "smb2", "action": "read", "size": 4000}, (), {}),
    ("session", {"protocol": "smb2", "action": "tree_connect", "outcome": "failure"}, (), {"refused requests": 1}),
    ("ai", {"count": 2, "request_bytes": 500}, (), {"inferences": 2, "inference bytes": 500}),
    ("ai", {"study": "study:1"}, (), {"inferences": 1, "studies inferred on": 1}),
    ("ai", {"status": 429, "count": 2}, (), {"inferences": 2, "HTTP errors": 2}),
    ("status", {"packets": 7, "skipped": {"short": 3}}, (), {}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "fields", "new", "expected"), CASES)
def test_counters(
    make: Maker, kind: str, fields: dict[str, object], new: tuple[str, ...], expected: dict[str, float]
) -> None:
    name, _, action = kind.partition(" ")
    event = getattr(make, name)(*([action] if action else []), **fields)
    window = Window("ip:ws", 0)
    window.add(event, new)
    assert {NAMES[at]: value for at, value in enumerate(window.row()) if value} == expected


@pytest.mark.parametrize("state", sorted(FAILED))
def test_a_connection_never_established_is_a_failure(make: Maker, state: str) -> None:
    window = Window("ip:ws", 0)
    window.add(make.flow(state=state), ())
    window.add(make.flow(state="SF"), ())
    assert window.row()[NAMES.index("failed connections")] == 1
    assert window.row()[NAMES.index("connections")] == 2


def test_every_feature_but_the_models_evidence_is_counted_by_some_case() -> None:
    counted = {name for *_, expected in CASES for name in expected} | {"failed connections"}
    assert set(NAMES) - counted == {"strangeness of single flows"}


def test_names_differ_and_index_constants_fit() -> None:
    assert len(set(NAMES)) == len(NAMES) == len(UNITS) == len(FLOORS)
    assert NAMES[features.FINDS] == "C-FIND requests"
    assert NAMES[features.INTERNET] == "bytes sent to the internet"
    assert NAMES[features.ARP] == "ARP requests"


def test_distinct_things_are_counted_once(make: Maker) -> None:
    window = Window("ip:ws", 0)
    for _ in range(3):
        for number in range(4):
            window.add(make.flow(destination=f"ip:{number}", destination_port=number % 2), ("peer",))
            window.add(make.ai(study=f"study:{number}"), ())
    row = dict(zip(NAMES, window.row(), strict=True))
    assert (row["connections"], row["peers"], row["destination ports"]) == (12, 4, 2)
    assert (row["peers never seen before"], row["inferences"], row["studies inferred on"]) == (4, 12, 4)


def test_sets_are_bounded_and_say_so(make: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "MAX_DISTINCT", 5)
    window = Window("ip:ws", 0)
    for number in range(9):
        window.add(make.flow(destination=f"ip:{number}", destination_port=number), ("peer",))
        window.add(make.ai(study=f"study:{number}"), ())
    assert {len(known) for known in (window.peers, window.ports, window.new_peers, window.studies)} == {5}
    assert window.capped == 3 * 4
    window.add(make.flow(destination="ip:0", destination_port=0), ("peer",))
    assert window.capped == 3 * 4, "what is known already does not need room"
    assert window.row()[NAMES.index("connections")] == 10


def test_a_window_remembers_the_first_ten_events(make: Maker) -> None:
    window = Window("ip:ws", 0)
    for _ in range(15):
        window.add(make.flow(), ())
    assert window.events == [f"e{number}" for number in range(10)]


def test_window_matrix_is_logarithms_of_units() -> None:
    row = [0.0] * len(NAMES)
    row[features.FINDS] = 63
    row[features.SENT] = 5000
    row[features.NAMES] = 250
    matrix = window_matrix([row, [0.0] * len(NAMES)])
    assert matrix.shape == (2, len(NAMES))
    assert matrix.dtype == np.float64
    assert matrix[0, features.FINDS] == pytest.approx(math.log(64))
    assert matrix[0, features.SENT] == pytest.approx(math.log(6))
    assert matrix[0, features.NAMES] == pytest.approx(math.log(3.5))
    assert not matrix[1].any()
    assert window_matrix([]).shape == (0, len(NAMES))


def flow_of(event: NetworkFlow, *new: str) -> dict[str, float]:
    return dict(zip(FLOW_FEATURES, flow_matrix([flow_row(event, new)])[0], strict=True))


def test_flow_features(make: Maker) -> None:
    found = flow_of(
        make.flow(
            source_payload=100, destination_payload=300, source_packets=4, destination_packets=6, duration=2_000_000,
            first_payload=50, source_size=[40, 90, 200, 30], destination_size=[41, 91, 201, 31],
            source_gap=[1, 700, 9000, 800], source_retransmissions=1, destination_retransmissions=2, state="S0",
            destination_zone="internet", protocol="",
        ),
        "peer",
    )  # fmt: skip
    logs = {
        "payload sent": 100, "payload received": 300, "packets sent": 4, "packets received": 6, "duration": 2000,
        "time to first payload": 50, "mean size sent": 90, "mean size received": 91, "size variation sent": 30,
        "size variation received": 31, "mean gap": 700, "gap variation": 800, "retransmissions": 3,
    }  # fmt: skip
    for name, value in logs.items():
        assert found.pop(name) == pytest.approx(math.log1p(value)), name
    assert found.pop("share sent") == pytest.approx(101 / 402)
    assert found == {"refused": 1, "to the internet": 1, "never seen peer": 1, "unknown protocol": 1}


def test_an_ordinary_flow_has_none_of_the_flags(make: Maker) -> None:
    found = flow_of(make.flow())
    assert [found[name] for name in ("refused", "to the internet", "never seen peer", "unknown protocol")] == [0, 0, 0, 0]
    assert found["share sent"] == 0.5


def test_flow_matrix_takes_none_and_leaves_its_input_alone(make: Maker) -> None:
    assert flow_matrix([]).shape == (0, len(FLOW_FEATURES))
    row = list(flow_row(make.flow(duration=1_000_000), ()))
    rows = np.array([row])
    flow_matrix(rows)  # type: ignore[arg-type]
    assert rows[0].tolist() == row


@pytest.mark.parametrize("sizes", [[], [1], [1, 2, 3], [1, 2, 3, 4, 5], [2**53 - 1] * 64])
def test_size_lists_of_another_length_count_nothing(make: Maker, sizes: list[int]) -> None:
    found = flow_of(make.flow(source_size=sizes, destination_size=sizes, source_gap=sizes, destination_gap=sizes))
    names = ("mean size sent", "mean size received", "size variation sent", "size variation received", "mean gap")
    assert [found[name] for name in names] == [0] * 5


@given(st.data())
def test_no_event_raises_and_all_numbers_are_finite(
    edge_lines: dict[str, st.SearchStrategy[bytes]], data: st.DataObject
) -> None:
    window = Window("ip:ws", 0)
    new = data.draw(st.sampled_from([(), ("peer",), ("device", "client")]))
    for line in data.draw(st.lists(st.one_of(*edge_lines.values()), max_size=5)):
        event = decode(line)
        window.add(event, new)
        if isinstance(event, NetworkFlow):
            row = flow_matrix([flow_row(event, new)])
            assert row.shape == (1, len(FLOW_FEATURES))
            assert np.isfinite(row).all()
    assert np.isfinite(window_matrix([window.row()])).all()
    assert min(window.row()) >= 0
