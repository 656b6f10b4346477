"""Watches folders of model and dataset files: what came, changed or went, whose it is, and whether a manifest lists it.

Polled, because notifications do not come over NFS and overflow in a flood; a file is read only where its inode, size or
times changed, and is told of once it has settled and its SHA-256 is another. Reading is gentle: so many bytes a second, in
small pieces, dropped from the page cache again. The first look is the baseline: of it, only what a manifest does not list
is told. Changes of a dataset are told as sums, with the first few files by themselves. What is
known is kept together with what was told of it, so that a restart tells nothing twice.
"""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

from agent.logs.clock import now
from agent.logs.paths import model_name, place_of
from agent.protocol import Fact
from agent.source import LIMIT, State
from agent.sources.look import Hashing, Seen, Walk, join
from agent.sources.manifest import Manifest
from agent.sources.settings import Extension, Folder

TURN = 2 << 20
"""Bytes hashed in one turn at most: a few milliseconds."""
ENTRIES = 512
"""Names looked at in one turn, and missing ones told in one look."""
SETTLED = 2.0
"""Seconds since its last change before a file is read."""
SINGLY = 16
"""Files of a dataset told by themselves, each look; the rest in the sums alone."""
LEAST = 4096
"""An empty file costs something too."""
EXTENSIONS = frozenset(get_args(Extension))
BAD = frozenset({"differs", "unlisted"})


class FolderWatch:
    """One folder."""

    def __init__(self, settings: Folder, state: State | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """state: of an earlier watch; without it the first look is the baseline."""
        names = ("looks", "files", "hashed_bytes", "unsettled", "unreadable_files", "unreadable_folders", "beyond_bound")
        self.counters = dict.fromkeys(names, 0)
        self._settings = settings
        self._root = bytes(Path(settings.path))
        self._clock = clock
        self._manifest = Manifest(Path(settings.path), settings.manifest, settings.manifest_key)
        self._known = _known(state)
        self._state: State | None = None
        self._walk: Walk | None = None
        self._there: set[bytes] = set()
        self._queue: OrderedDict[bytes, Seen] = OrderedDict()
        self._hashing: Hashing | None = None
        self._next = self._refilled = clock()
        self._budget = 0.0
        self._told = 0
        self._work = self._works()

    def read(self, limit: int = LIMIT) -> list[Fact]:
        """A bounded piece of work, and the facts it found: at most so many."""
        at = self._clock()
        rate = self._settings.bytes_per_second
        self._budget = min(self._budget + (at - self._refilled) * rate, rate)
        self._refilled = at
        facts: list[Fact] = []
        while len(facts) < limit and (fact := next(self._work)) is not None:
            facts.append(fact)
        return facts

    def state(self) -> State:
        """What is known, and what was told of it, up to the last fact given out; the same object while nothing changed."""
        if self._state is None:
            known = self._known
            self._state = {
                "files": {name.decode("latin-1"): list(seen) for name, seen in known.files.items()},
                "baseline": known.baseline,
                "missing": sorted(name.decode("latin-1") for name in known.missing),
                "sums": dict(known.sums),
                "manifest": known.manifest,
                "checked": known.checked,
            }
        return self._state

    def close(self) -> None:
        """Let go of the file being read."""
        if self._hashing is not None:
            self._hashing.close()
            self._hashing = None

    def _works(self) -> Iterator[Fact | None]:
        """All facts, each after it has been noted as told; None where a turn is over."""
        while True:
            if self._walk is None and self._clock() >= self._next:
                yield from self._begin()
            if self._walk is not None:
                yield from self._look(self._walk)
            yield from self._hash()
            yield from self._settle()
            yield None

    def _begin(self) -> Iterator[Fact | None]:
        """Start a look; where the manifest is another than was told, all that is known is held against it again."""
        self._next = self._clock() + self._settings.interval
        self._walk = Walk(self._root)
        self._there = set()
        self._told = 0
        self._manifest.refresh()
        known, mark = self._known, self._manifest.mark
        if known.manifest != mark:
            before, known.manifest, self._state = known.manifest, mark, None
            if before or self._manifest.signature not in {"", "valid"}:
                there = "" if self._manifest.there else "missing"
                told: dict[str, object] = {"kind": "manifest", "manifest": there, "path": self._manifest.path}
                yield self._fact("changed" if before else "present", b"", None, told)
        if known.checked != mark:
            yield from self._check()
            known.checked, self._state = mark, None

    def _check(self) -> Iterator[Fact | None]:
        """Hold all files against the manifest again."""
        files = self._known.files
        for number, (name, seen) in enumerate(files.items(), 1):
            verdict = self._manifest.verdict(name, bytes.fromhex(seen.digest))
            if verdict != seen.verdict:
                files[name], self._state = seen._replace(verdict=verdict), None
                if verdict in BAD:
                    yield from self._tell("present", name, seen, verdict)
            if number % ENTRIES == 0:
                yield None

    def _look(self, walk: Walk) -> Iterator[Fact]:
        """The next few names; at the end of a look, what went away."""
        for _ in range(ENTRIES):
            found = next(iter(walk), None)
            if found is None:
                self._walk = None
                yield from self._finish(walk)
                return
            name, there = found
            if self._manifest.is_one(name):
                continue
            files = self._known.files
            if name in files or name in self._queue or len(files) + len(self._queue) < self._settings.files:
                self._there.add(name)
                self._consider(name, there)
            else:
                self.counters["beyond_bound"] += 1

    def _consider(self, name: bytes, there: os.stat_result) -> None:
        """Queue a file that is new or not as it was, once it has settled."""
        seen, known = Seen.of(there), self._known.files.get(name)
        if known is not None and known.unchanged(seen):
            return
        if 0 <= time.time() - max(there.st_mtime, there.st_ctime) < SETTLED:
            self.counters["unsettled"] += 1
        else:
            self._queue[name] = seen

    def _finish(self, walk: Walk) -> Iterator[Fact]:
        self.counters["looks"] += 1
        self.counters["files"] = len(self._there)
        self.counters["unreadable_folders"] += walk.blind
        if walk.blind:
            return  # what was not seen may still be there
        known, listed = self._known, self._manifest.listed
        missing = listed.keys() - self._there
        if known.missing - missing:
            known.missing, self._state = known.missing & missing, None
        for name in [name for name in known.files if name not in self._there]:
            del known.files[name]
            if name in listed:
                known.missing.add(name)
            self._state = None
            yield from self._tell("removed", name, None, "missing" if name in listed else "")
        for name in sorted(missing - known.missing)[:ENTRIES]:
            known.missing.add(name)
            self._state = None
            yield from self._tell("removed", name, None, "missing")

    def _hash(self) -> Iterator[Fact]:
        """Read on in the file at the head of the queue, as far as the budget goes."""
        done = 0
        while done < TURN and self._budget > 0:
            if self._hashing is None:
                if not self._queue:
                    break
                name, seen = self._queue.popitem(last=False)
                try:
                    self._hashing = Hashing(self._root, name, seen)
                except OSError:
                    self.counters["unreadable_files"] += 1
                    done += LEAST
                    continue
            count = self._hashing.step()
            done += max(count, LEAST)
            self._budget -= max(count, LEAST)
            self.counters["hashed_bytes"] += max(count, 0)
            if count <= 0:
                hashing, self._hashing = self._hashing, None
                hashing.close()
                self.counters["unsettled"] += count < 0  # it changed under our hands; the next look sees it again
                if count == 0:
                    yield from self._hashed(hashing)

    def _hashed(self, hashing: Hashing) -> Iterator[Fact]:
        name, known = hashing.name, self._known.files.get(hashing.name)
        verdict = self._manifest.verdict(name, hashing.digest.digest())
        seen = hashing.seen._replace(digest=hashing.digest.hexdigest(), verdict=verdict)
        self._known.files[name], self._state = seen, None
        if self._known.baseline:
            action = "present" if verdict in BAD else ""
        elif known is None:
            action = "created"
        elif known.digest != seen.digest:
            action = "changed"
        else:
            action = "owner" if (known.owner, known.writable) != (seen.owner, seen.writable) else ""
        if action:
            yield from self._tell(action, name, seen, verdict)

    def _settle(self) -> Iterator[Fact]:
        """Once all is read: the baseline is done, and a dataset's changes are told."""
        if self._walk is not None or self._queue or self._hashing is not None or not self.counters["looks"]:
            return
        known = self._known
        if known.baseline:
            known.baseline, self._state = False, None
        sums = {name: count for name, count in known.sums.items() if count}
        if not sums:
            return
        known.sums, self._state = dict.fromkeys(known.sums, 0), None
        if self._settings.kind == "dataset":
            fields = {"action": "dataset-change", "provider": "integrity", "dataset": self._settings.path, **sums}
            yield Fact("ai.training", now(), fields, None)

    def _tell(self, action: str, name: bytes, seen: Seen | None, verdict: str) -> Iterator[Fact]:
        counted = {"created": "added", "changed": "changed", "removed": "removed"}.get(action)
        if counted and not self._known.baseline:
            self._known.sums[counted] += 1
            self._state = None
        if self._settings.kind == "dataset":
            self._told += 1
            if self._told > SINGLY:
                return
        yield self._fact(action, name, seen, {"manifest": verdict})

    def _fact(self, action: str, name: bytes, seen: Seen | None, more: dict[str, object]) -> Fact:
        model = self._settings.kind == "model"
        path = join(self._root, name).decode("utf-8", "replace")
        ending = name.rpartition(b".")[2].lower().decode("utf-8", "replace") if b"." in name else ""
        fields: dict[str, object] = {
            "action": action,
            "provider": "integrity",
            "kind": self._settings.kind,
            "path": path,
            "place": place_of(path),
            "extension": ending if ending in EXTENSIONS else "other",
            "signature": self._manifest.signature,
        }
        if model:
            fields["model"] = model_name(name.partition(b"/")[0].partition(b".")[0].decode("utf-8", "replace"))
        if seen is not None:
            fields |= {"size": seen.size, "owner": seen.owner, "writable": seen.writable}
            fields |= {"sha256": seen.digest} if model else {}
        return Fact("ai.model_access", now(), fields | more, None)


class _Known:
    """What is known of a folder, and what was told of it."""

    def __init__(self) -> None:
        self.files: dict[bytes, Seen] = {}
        self.baseline = True
        """Whether the first look is not over yet."""
        self.missing: set[bytes] = set()
        """What the manifest lists and is not there, told."""
        self.sums = {"added": 0, "changed": 0, "removed": 0}
        """Not told yet."""
        self.manifest = ""
        """What marks the manifest that was told,"""
        self.checked = ""
        """and the one that all files were held against."""


def _known(state: State | None) -> _Known:
    """What a state holds; nothing where it cannot be used."""
    known, kept = _Known(), state or {}
    files, missing, sums = kept.get("files"), kept.get("missing", []), kept.get("sums", {})
    if not isinstance(files, dict) or not isinstance(missing, list) or not isinstance(sums, dict):
        return known
    try:
        known.files = {str(name).encode("latin-1"): _seen(row) for name, row in files.items()}
        known.missing = {str(name).encode("latin-1") for name in missing}
        known.sums |= {name: int(sums.get(name, 0)) for name in known.sums}
    except (TypeError, ValueError, IndexError):
        return _Known()
    known.baseline = kept.get("baseline") is True
    known.manifest, known.checked = str(kept.get("manifest", "")), str(kept.get("checked", ""))
    return known


def _seen(row: list[object]) -> Seen:
    """What a state holds of one file. Raises TypeError, ValueError or IndexError for anything else."""
    inode, size, modified, changed = (int(str(part)) for part in row[:4])
    digest = bytes.fromhex(str(row[6])).hex()
    return Seen(inode, size, modified, changed, str(row[4]), str(row[5]), digest, *map(str, row[7:8]))
