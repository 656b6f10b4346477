"""Take the evidence of a case into a new folder, or a .zip: findings, events, history, rules, hashes, a signed manifest.

Events are read from the bus as far as they are still there; which are gone is told. Captures and other files that are named
with --capture are hashed, and stay where they are. With --verify, a package is checked instead: each changed, missing and
added file is told, and the exit code is 1.
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

from detector.commands.case import configured, declare, store, who
from detector.commands.case_papers import tell
from detector.commands.rules import plain, put
from detector.config import DetectorConfig
from nigrani.service.errors import Problem, Usage
from nigrani.service.key import state_folder
from nigrani.service.progress import Progress


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("number", metavar="NUMBER", type=int, nargs="?", help="the case's")
    parser.add_argument("--out", metavar="PATH", type=Path, help="a new folder, or a new file that ends in .zip")
    parser.add_argument(
        "--capture", metavar="FILE", type=Path, action="append", default=[], help="a file to hash; may be repeated"
    )
    parser.add_argument(
        "--events", metavar="FILE", type=Path, action="append", default=[], help="NDJSON of events, in place of the bus"
    )
    parser.add_argument(
        "--bus", metavar="DIR", type=Path, help="an embedded bus; default: that of the configuration, or its topic"
    )
    parser.add_argument("--verify", metavar="PATH", type=Path, help="check a package that was taken before")
    parser.add_argument(
        "--trust", metavar="FILE", type=Path, action="append", default=[], help="public key of another detector"
    )
    declare(parser)


def run(options: argparse.Namespace) -> int:
    """Take it, or check it."""
    config = configured(options)
    if options.verify is not None:
        return _verify(options.verify, options.trust)
    if options.number is None or options.out is None:
        raise Usage("name a case and --out, or a package with --verify")
    return _take(options, config)


def _take(options: argparse.Namespace, config: DetectorConfig) -> int:
    from detector.reports.dossier import gather  # noqa: PLC0415 - only once the options stand
    from detector.reports.evidence import write  # noqa: PLC0415 - as above
    from detector.reports.sources import sources  # noqa: PLC0415 - as above
    from detector.signing import signing_key  # noqa: PLC0415 - as above

    try:
        signer = signing_key(state_folder())
    except ValueError as error:
        raise Problem(str(error)) from None
    with store(options) as opened, Progress("read") as bar:
        case, findings, history = gather(opened, options.number)
        site = sources(config, events=options.events, bus=options.bus, captures=options.capture, show=bar.show)
        told = write(options.out, case, findings, history, site, signer, datetime.now(UTC))
        opened.record(case.number, who(), "exported", f"evidence, signed by the key {signer.key_id}")
    tell(f"{len(told.manifest.files)} files in {options.out}, signed by the key {signer.key_id}")
    tell(f"{len(findings)} findings; {told.events} events; {told.gone} events that findings name are gone from the bus")
    return 0


def _verify(path: Path, trust: list[Path]) -> int:
    from detector.reports.seal import check  # noqa: PLC0415 - only where a package is checked
    from detector.signing import PUBLIC_NAME, KeyFileError, Verifier  # noqa: PLC0415 - as above

    own = state_folder() / PUBLIC_NAME
    try:
        verifier = Verifier([*([own] if own.is_file() else []), *trust])
    except KeyFileError as error:
        raise Problem(str(error)) from None
    found = check(path, verifier)
    for fault in found.faults:
        put(plain(fault))
    if found.manifest is not None:
        made = found.manifest.made.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        about = f"case {found.manifest.case}, taken {made}, signed by {plain(found.manifest.key_id)[:64]}"
        tell(f"{about}: {found.files} of {len(found.manifest.files)} files are as they were")
    return 1 if found.faults else 0
