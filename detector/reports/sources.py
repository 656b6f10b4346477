"""Where a site's evidence comes from: its bus, its rules, its baseline."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from detector.history import History
from detector.reports.evidence import Sources
from detector.setup import load_rules
from nigrani.service.errors import BadConfig
from nigrani.service.key import state_folder
from nigrani.stream.bus import BusError
from nigrani.stream.codec import MAX_LINE

if TYPE_CHECKING:
    from detector.config import DetectorConfig


def sources(
    config: DetectorConfig,
    *,
    events: Sequence[Path] = (),
    bus: Path | None = None,
    captures: Sequence[Path] = (),
    show: Callable[[int, int], None] | None = None,
) -> Sources:
    """The site's, as its configuration names them; events of files in place of the bus, where there are any.

    Rules or a bus that cannot be read are told of, and the rest of the evidence is taken all the same.
    """
    lines = _of_files(events) if events else _of_bus(History(config, (), bus, None), show)
    baseline = config.baseline.path or state_folder() / "baseline.npz"
    try:
        rules = load_rules(config.rules)
    except BadConfig as error:
        _tell(f"the rules cannot be read and are left out: {error.faults[0]}")
        return Sources(lines, baseline=baseline, captures=captures)
    return Sources(lines, rules.rules, rules.fingerprint, baseline, captures)


def _of_bus(history: History, show: Callable[[int, int], None] | None) -> Iterator[bytes]:
    try:
        yield from history.lines(show)
    except BusError as error:
        _tell(f"the events cannot be read: {error}")


def _of_files(paths: Sequence[Path]) -> Iterator[bytes]:
    for path in paths:
        with path.open("rb") as file:
            while line := file.readline(MAX_LINE + 1):
                yield line


def _tell(text: str) -> None:
    sys.stderr.write(f"nigrani: {text}\n")
