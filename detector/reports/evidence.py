"""The evidence of a case, in a folder that stands for itself: what was told, the events it rests on, what judged them.

Captures are named and hashed, never copied: they hold patients' data, and their size has no bound.
"""

from __future__ import annotations

import hashlib
import platform
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from detector.cases.case import Case, Entry, Finding
from detector.reports.seal import MANIFEST, PUBLIC, SIGNATURE, SUMS, Manifest, packed, put, seal
from detector.reports.story import seen
from detector.signing import Signer
from nigrani import __version__

if TYPE_CHECKING:
    from detector.rule import Rule

MAX_FINDINGS = 50_000
MAX_EVENTS = 50_000
MAX_BYTES = 128 << 20
"""Of findings, and of events; what is over is told, and left out."""
LIBRARIES = ("cryptography", "kafka-python", "msgspec", "numpy", "pysigma", "scikit-learn", "scipy")
ID = re.compile(rb'"event\.id":\s?"([!#-\[\]-~]{1,64})"')
"""A quotation mark within a JSON text has a backslash before it, so this is found as a key alone."""


class Sources(NamedTuple):
    """Where the evidence comes from, as it is when it is taken."""

    lines: Iterable[bytes] = ()
    """Events as they lie on the bus; read until all that is named was found."""
    rules: Sequence[Rule] = ()
    fingerprint: str = ""
    """Of all rules together."""
    baseline: Path | None = None
    captures: Sequence[Path] = ()
    """Files that a person named; they are hashed and stay where they are."""


class Told(NamedTuple):
    """What a package came to hold."""

    manifest: Manifest
    events: int
    gone: int
    """Events that findings name and that are not on the bus any more."""


def write(
    folder: Path,
    case: Case,
    findings: Iterable[Finding],
    history: Sequence[Entry],
    sources: Sources,
    signer: Signer,
    made: datetime,
) -> Told:
    """Write the package into a new folder, or a zip where the name ends so; all of it or nothing.

    findings: whole, with their OCSF. The same case, sources and `made` give the same bytes. Raises OSError.
    """
    aside = folder.with_name(f".{folder.name}.{secrets.token_hex(6)}")
    archive = aside.with_name(f"{aside.name}.zip")
    if folder.exists():
        raise FileExistsError(17, "is there already; evidence is never overwritten", str(folder))
    try:
        aside.mkdir(mode=0o700)
        kept = _findings(aside, findings)
        events, gone = _events(aside, kept, sources.lines)
        _case(aside, case, history)
        _judges(aside, kept, sources)
        _captures(aside, sources.captures)
        put(aside / "software.json", _json(_software()))
        put(aside / "README.txt", _readme(case, signer).encode())
        manifest = seal(aside, case.number, made, signer)
        if folder.suffix == ".zip":
            packed(aside, archive)
            archive.rename(folder)
        else:
            aside.rename(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        archive.unlink(missing_ok=True)
    return Told(manifest, events, gone)


def _findings(folder: Path, findings: Iterable[Finding]) -> list[Finding]:
    """Write the findings in the order of time; those that are over the bounds are only counted."""
    ordered = sorted(findings, key=lambda one: (one.when, one.uid))
    kept, size = [], 0
    for finding in ordered[:MAX_FINDINGS]:
        size += len(finding.ocsf) + 1
        if size > MAX_BYTES:
            break
        kept.append(finding)
    put(folder / "findings.ndjson", b"".join(finding.ocsf.replace(b"\n", b" ") + b"\n" for finding in kept))
    put(
        folder / "findings.json",
        _json({"findings": len(ordered), "written": len(kept), "left_out": len(ordered) - len(kept)}),
    )
    return kept


def _events(folder: Path, findings: Sequence[Finding], lines: Iterable[bytes]) -> tuple[int, int]:
    """Write the events that the findings name, byte for byte, and which of them are gone."""
    wanted = dict.fromkeys(uid for one in seen(findings) for uid in one.events)
    found: dict[str, bytes] = {}
    size = 0
    for uid, line in _named(lines, {uid.encode() for uid in list(wanted)[:MAX_EVENTS]}):
        size += len(line) + 1
        if size > MAX_BYTES:
            break
        found[uid] = line
    gone = [uid for uid in wanted if uid not in found]
    put(folder / "events.ndjson", b"".join(found[uid] + b"\n" for uid in wanted if uid in found))
    put(folder / "events.json", _json({"named": len(wanted), "found": len(found), "gone_or_left_out": gone}))
    return len(found), len(gone)


def _named(lines: Iterable[bytes], wanted: set[bytes]) -> Iterator[tuple[str, bytes]]:
    for line in lines if wanted else ():
        match = ID.search(line)
        if match is not None and match[1] in wanted:
            wanted.discard(match[1])
            yield match[1].decode(), line.rstrip(b"\r\n")
            if not wanted:
                return


def _case(folder: Path, case: Case, history: Sequence[Entry]) -> None:
    put(folder / "case.json", _json(msgspec.to_builtins(case)))
    put(folder / "history.ndjson", b"".join(msgspec.json.encode(entry) + b"\n" for entry in history))


def _judges(folder: Path, findings: Sequence[Finding], sources: Sources) -> None:
    """Write the rules that spoke, as their files are now, and what the baseline is."""
    slugs = {finding.kind for finding in findings}
    ids = {one.rule for one in seen(findings)}
    spoke = [rule for rule in sources.rules if rule.id in ids]
    (folder / "rules").mkdir(mode=0o700)
    told = []
    for number, path in enumerate(sorted({rule.path for rule in spoke}), 1):
        content = path.read_bytes()
        name = f"rules/{number:03}-{path.stem}.yml"
        put(folder / name, content)
        told += [
            {
                "file": name,
                "id": rule.id,
                "title": rule.title,
                "level": rule.level,
                "sha256": hashlib.sha256(content).hexdigest(),
            }
            for rule in spoke
            if rule.path == path
        ]
    others = sorted(slugs - {rule.id for rule in spoke} - {rule.path.stem for rule in spoke})
    put(
        folder / "rules.json",
        _json({"fingerprint_of_all": sources.fingerprint, "rules": told, "kinds_without_a_rule": others}),
    )
    put(folder / "baseline.json", _json(_baseline(sources.baseline)))


def _baseline(path: Path | None) -> dict[str, Any]:
    from detector.baseline import COMMENT_BYTES, MARK  # noqa: PLC0415 - numpy is loaded only where evidence is taken

    if path is None or not path.is_file():
        return {"baseline": None}
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(max(0, path.stat().st_size - COMMENT_BYTES))
        mark, _, signed = file.read().partition(MARK)
    key_id, _, signature = signed.decode("ascii", "replace").partition(" ")
    whole = {"file": path.name, "bytes": path.stat().st_size, "sha256": digest}
    return {"baseline": whole if mark else whole | {"signed_by": key_id, "signature": signature}}


def _captures(folder: Path, captures: Sequence[Path]) -> None:
    told = []
    for path in captures:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        status = path.stat()
        changed = datetime.fromtimestamp(int(status.st_mtime), UTC).isoformat()
        told.append({"file": str(path), "bytes": status.st_size, "modified": changed, "sha256": digest})
    put(folder / "captures.json", _json({"captures": told}))


def _software() -> dict[str, Any]:
    known = {}
    for name in LIBRARIES:
        try:
            known[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            known[name] = "not installed"
    return {"nigrani": __version__, "python": platform.python_version(), "system": platform.platform(), "libraries": known}


def _json(data: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(data, order="sorted"), indent=1) + b"\n"


def _readme(case: Case, signer: Signer) -> str:
    return f"""\
Evidence of case {case.number}, taken by nigrani {__version__}.

findings.ndjson  what was told, one OCSF Detection Finding a line, in the order of time
events.ndjson    the events that the findings name, byte for byte as they lay on the bus; events.json says which are gone
case.json        the case as it stood; history.ndjson: who did what, when
rules/           the rules that spoke, as their files were when this was taken; rules.json: their ids and hashes
baseline.json    which baseline judged: its hash, and who signed it
captures.json    hashes of files that a person named; the files themselves are kept elsewhere
software.json    versions

Devices stand here as tokens. Where they were seen, `nigrani agent reveal` turns them back, and writes down who asked.

To check that nothing was changed, with nigrani:

    nigrani case evidence --verify FOLDER

and without it, in this folder:

    sha256sum --check {SUMS}
    openssl pkeyutl -verify -pubin -inkey {PUBLIC} -rawin -in {MANIFEST} -sigfile {SIGNATURE}

The first line checks the files against {SUMS}, whose own hash is in {MANIFEST}; the second checks that {MANIFEST} is what
the holder of the key signed (Ed25519, OpenSSL 3). A key proves nothing by lying beside what it signed: compare it with the
one that the hospital keeps as baseline.pub. Its id, the first 16 digits of the SHA-256 of the raw public key, is

    {signer.key_id}
    openssl pkey -pubin -in {PUBLIC} -outform DER | tail -c 32 | sha256sum | cut -c 1-16
"""
