"""Captures and log files, read side by side in the order of their time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from agent.capture import Capture, forever, open_capture
from agent.log import LogFile, open_log
from agent.pipeline import Pipeline
from nigrani.service.errors import Problem

Progress = Callable[[int, int, int], None]
"""Called with (bytes read, bytes in all, time reached in µs)."""


def open_input(path: Path) -> Capture | LogFile:
    """The reader for a file, told by its content. Raises Problem with one line where there is none."""
    try:
        if path.is_dir():
            raise Problem(f"{path}: is a folder; name the files in it")
        if path.stat().st_size == 0:
            raise Problem(f"{path}: is empty")
        source = open_capture(path) or open_log(path)
    except OSError as error:
        raise Problem(f"{path}: {error.strerror or error}") from None
    except ValueError as error:
        raise Problem(f"{path}: {error}") from None
    if source is None and _starts_with(path, b"\x1f\x8b"):
        raise Problem(f"{path}: is compressed; decompress it first (gunzip)")
    if source is None:
        from agent.logs import FORMATS  # noqa: PLC0415 - for this sentence alone

        raise Problem(f"{path}: neither a capture (pcap, pcapng) nor a log that the agent knows ({', '.join(FORMATS)})")
    return source


def _starts_with(path: Path, magic: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(magic)) == magic


def fingerprint(paths: Sequence[Path]) -> str:
    """Stands for the boot of a replay: the same files give the same event ids."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            digest.update(file.read(65_536))
        digest.update(str(path.stat().st_size).encode())
    return digest.hexdigest()


def _told(source: Capture | LogFile) -> str:
    faults = ", ".join(f"{name.replace('_', ' ')}: {count}" for name, count in sorted(source.faults.items()))
    return f"{faults}, first at {source.place}" if source.place else faults


class Inputs(NamedTuple):
    """The files of a replay."""

    sources: list[Capture | LogFile]
    paths: list[Path]
    """Of the sources."""
    problems: list[Problem]
    """Of the files that cannot be read."""


def open_inputs(paths: Iterable[Path]) -> Inputs:
    """Each file's reader; what cannot be read does not keep the others from it."""
    inputs = Inputs([], [], [])
    for path in paths:
        try:
            inputs.sources.append(open_input(path))
            inputs.paths.append(path)
        except Problem as problem:
            inputs.problems.append(problem)
    return inputs


class Replay:
    """One run over one or several files."""

    def __init__(self, sources: Sequence[Capture | LogFile], pipeline: Pipeline) -> None:
        self._sources = list(sources)
        self._pipeline = pipeline
        self.faults: dict[str, int] = {}
        self._until = 0

    def _bound(self) -> int:
        """A source is read as far as the next of the others stands."""
        return self._until

    def run(self, progress: Progress | None = None) -> list[str]:
        """Read all files to their end; returns a line for each file of which something could not be read."""
        for _ in self.steps(progress):
            pass
        return [f"{source.path}: {_told(source)}; the rest was read" for source in self._sources if source.faults]

    def steps(self, progress: Progress | None = None) -> Iterator[int]:
        """The same in small steps; yields the time reached, in µs."""
        logged: list[Any] = []
        meter = self._pipeline.meter
        runs = [
            source.read(logged, self._bound) if isinstance(source, LogFile) else source.read(meter, self._bound)
            for source in self._sources
        ]
        total = sum(source.size for source in self._sources)
        done = [0] * len(runs)
        at: dict[int, int] = dict.fromkeys(range(len(runs)), 0)
        while at:
            turn = min(at, key=lambda index: (at[index], index))
            self._until = min((when for index, when in at.items() if index != turn), default=forever())
            step = next(runs[turn], None)
            if logged:
                self._pipeline.send(logged)
                logged.clear()
            self._pipeline.pump()
            if step is None:
                del at[turn]
                continue
            at[turn], done[turn] = step
            if progress is not None:
                progress(sum(done), total, at[turn])
            yield at[turn]
        self._pipeline.close()
        for source in self._sources:
            for name, count in source.faults.items():
                self.faults[name] = self.faults.get(name, 0) + count
