"""The evidence of a case."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from detector.cases.case import Finding
from detector.reports import evidence
from detector.reports.evidence import Sources, write
from detector.reports.seal import check
from detector.setup import load_rules
from detector.signing import Signer, Verifier, signing_key
from tests.detector.reports.made import WHEN, a_case, a_finding, an_entry


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return signing_key(tmp_path / "state")


def line(uid: str) -> bytes:
    return b'{"event.dataset":"flow","event.id":"' + uid.encode() + b'","note":"\\"event.id\\":\\"e1\\""}\n'


FINDINGS = [a_finding("f2", when=WHEN + timedelta(minutes=1), events=["e2", "e3"]), a_finding(events=["e1", "e2", "gone"])]


def taken(
    path: Path, signer: Signer, sources: Sources | None = None, findings: list[Finding] | None = None
) -> evidence.Told:
    sources = sources or Sources(lines=(line(f"e{number}") for number in range(10)))
    return write(
        path, a_case(), FINDINGS if findings is None else findings, [an_entry("acknowledged")], sources, signer, WHEN
    )


def data(path: Path) -> Any:
    return json.loads(path.read_bytes())


def test_events_by_id_and_which_are_gone(tmp_path: Path, signer: Signer) -> None:
    told = taken(tmp_path / "out", signer)
    assert (told.events, told.gone) == (3, 1)
    assert (tmp_path / "out" / "events.ndjson").read_bytes() == line("e1") + line("e2") + line("e3")
    assert data(tmp_path / "out" / "events.json") == {"named": 4, "found": 3, "gone_or_left_out": ["gone"]}
    assert (tmp_path / "out" / "findings.ndjson").read_bytes().splitlines() == [FINDINGS[1].ocsf, FINDINGS[0].ocsf]
    assert data(tmp_path / "out" / "case.json")["number"] == 17
    assert b"acknowledged" in (tmp_path / "out" / "history.ndjson").read_bytes()
    assert check(tmp_path / "out", Verifier([tmp_path / "state" / "baseline.pub"])).faults == []
    assert signer.key_id in (tmp_path / "out" / "README.txt").read_text()


def test_the_bus_is_read_until_all_is_found(tmp_path: Path, signer: Signer) -> None:
    read: list[int] = []

    def lines() -> Iterator[bytes]:
        for number in range(1000):
            read.append(number)
            yield line(f"e{number}")

    taken(tmp_path / "out", signer, Sources(lines()), [a_finding(events=["e3"])])
    assert len(read) == 4
    read.clear()
    taken(tmp_path / "none", signer, Sources(lines()), [a_finding()])
    assert read == []


def test_the_same_bytes_of_the_same(tmp_path: Path, signer: Signer) -> None:
    taken(tmp_path / "a.zip", signer)
    taken(tmp_path / "b.zip", signer)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    assert check(tmp_path / "a.zip", Verifier([tmp_path / "state" / "baseline.pub"])).faults == []
    assert {path.name for path in tmp_path.iterdir()} == {"a.zip", "b.zip", "state"}  # nothing is left aside


def test_rules_that_spoke(tmp_path: Path, signer: Signer) -> None:
    rules = load_rules()
    taken(
        tmp_path / "out",
        signer,
        Sources(rules=rules.rules, fingerprint=rules.fingerprint),
        [a_finding(), a_finding("f2", kind="anomaly-dns", rule="anomaly-dns")],
    )
    told = data(tmp_path / "out" / "rules.json")
    assert told["fingerprint_of_all"] == rules.fingerprint
    assert told["kinds_without_a_rule"] == ["anomaly-dns"]
    [rule] = told["rules"]
    content = (tmp_path / "out" / rule["file"]).read_bytes()
    assert (rule["title"], rule["sha256"]) == ("Port scan", hashlib.sha256(content).hexdigest())
    assert b"Port scan" in content


def test_captures_are_hashed_and_not_copied(tmp_path: Path, signer: Signer) -> None:
    capture = tmp_path / "x.pcap"
    capture.write_bytes(b"SECRET-PATIENT" * 1000)
    taken(tmp_path / "out", signer, Sources(captures=[capture]))
    [told] = data(tmp_path / "out" / "captures.json")["captures"]
    assert (told["bytes"], told["sha256"]) == (14_000, hashlib.sha256(capture.read_bytes()).hexdigest())
    assert not any(b"SECRET" in path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())


def test_a_capture_that_is_not_there_leaves_nothing_behind(tmp_path: Path, signer: Signer) -> None:
    with pytest.raises(FileNotFoundError):
        taken(tmp_path / "out", signer, Sources(captures=[tmp_path / "none"]))
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_evidence_is_never_overwritten(tmp_path: Path, signer: Signer) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(FileExistsError, match="never overwritten"):
        taken(tmp_path / "out", signer)


def test_it_is_bounded(tmp_path: Path, signer: Signer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "MAX_BYTES", 1000)
    findings = [a_finding(f"f{number}", events=[f"e{number}"]) for number in range(50)]
    lines = [line(f"e{number}") for number in range(50)]
    told = taken(tmp_path / "out", signer, Sources(lines), findings)
    assert (tmp_path / "out" / "findings.ndjson").stat().st_size <= 1000
    assert (tmp_path / "out" / "events.ndjson").stat().st_size <= 1000
    counts = data(tmp_path / "out" / "findings.json")
    assert counts["findings"] == 50 == counts["written"] + counts["left_out"]
    assert told.events < counts["written"] + 1


def test_the_baseline_is_told_by_its_hash_and_who_signed_it(tmp_path: Path, signer: Signer) -> None:
    path = tmp_path / "baseline.npz"
    path.write_bytes(b"PK" * 400 + b"nigrani-ed25519 " + signer.key_id.encode() + b" " + b"ab" * 64)
    taken(tmp_path / "out", signer, Sources(baseline=path))
    told = data(tmp_path / "out" / "baseline.json")["baseline"]
    assert told["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (told["signed_by"], told["signature"]) == (signer.key_id, "ab" * 64)
    taken(tmp_path / "without", signer, Sources(baseline=tmp_path / "none"))
    assert data(tmp_path / "without" / "baseline.json") == {"baseline": None}


def test_hostile_findings_are_kept_as_they_are(tmp_path: Path, signer: Signer) -> None:
    taken(tmp_path / "out", signer, findings=[a_finding(ocsf=b"\xff not\njson"), a_finding("f2", ocsf=b"[]")])
    assert (tmp_path / "out" / "findings.ndjson").read_bytes() == b"\xff not json\n[]\n"
