"""Write a case as a STIX 2.1 bundle for peers: TLP:AMBER, devices as tokens, no address, nothing that a person wrote.

That it was written is noted in the case's history.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from detector.commands.case import configured, declare, store, who
from detector.commands.case_papers import give


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    declare(parser, number=True)
    parser.add_argument("--out", metavar="FILE", type=Path, help="a new file; default: standard output")


def run(options: argparse.Namespace) -> int:
    """Write it."""
    import msgspec  # noqa: PLC0415 - only once the options stand

    from detector.reports import stix  # noqa: PLC0415 - as above
    from detector.reports.dossier import gather  # noqa: PLC0415 - as above

    config = configured(options)
    with store(options) as opened:
        case, findings, _ = gather(opened, options.number)
        bundle = stix.bundle(case, findings, config.organisation)
        give(msgspec.json.format(msgspec.json.encode(bundle), indent=1) + b"\n", options.out)
        opened.record(case.number, who(), "exported", f"STIX bundle, {len(bundle['objects'])} objects")
    return 0
