"""Watches folders of model and dataset files: what came, changed or went, whose it is, and whether a manifest lists it.

Polled, because notifications do not come over NFS and overflow in a flood; a file is read only where its inode, size or
times changed, and is told of once it has settled and its SHA-256 is another. Reading is gentle: so many bytes a second, in
small pieces, dropped from the page cache again. The first look is the baseline: of it, only what a manifest does not list
is told. Changes of a dataset are told as sums, with the first few files by themselves.
"""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import get_args

from agent.logs.clock import now
from agent.logs.paths import model_name, place_of
from agent.protocol import Fact
from agent.source import State
from agent.sources.look import Hashing, Seen, Walk, join
from agent.sources.manifest import Manifest
from agent.sources.settings import Extension, Folder

TURN = 2 << 20
"""Bytes hashed in one turn at most: a few milliseconds."""
ENTRIES = 512
"""Names looked at in one turn, and facts told of the manifest at once."""
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
        self._manifest = Manifest(Path(settings.path), settings.manifest)
        self._manifest.refresh()
        known = _known(state)
        self._baseline = known is None
        self._files: dict[bytes, Seen] = known or {}
        self._state: State | None = None
        self._walk: Walk | None = None
        self._there: set[bytes] = set()
        self._missing: set[bytes] = set()
        self._queue: OrderedDict[bytes, Seen] = OrderedDict()
        self._hashing: Hashing | None = None
        self._next = self._refilled = clock()
        self._budget = 0.0
        self._sums = {"added": 0, "changed": 0, "removed": 0}
        self._told = 0

    def read(self) -> list[Fact]:
        """A bounded piece of work, and the facts it found."""
        at = self._clock()
        rate = self._settings.bytes_per_second
        self._budget = min(self._budget + (at - self._refilled) * rate, rate)
        self._refilled = at
        facts: list[Fact] = []
        if self._walk is None and at >= self._next:
            facts += self._begin()
        if self._walk is not None:
            facts += self._look(self._walk)
        facts += self._hash()
        return facts + self._settle()

    def state(self) -> State:
        """What is known of each file; the same object as long as nothing changed."""
        if self._state is None:
            files = {name.decode("latin-1"): list(seen) for name, seen in self._files.items()}
            self._state = {} if self._baseline else {"files": files}
        return self._state

    def close(self) -> None:
        """Let go of the file being read."""
        if self._hashing is not None:
            self._hashing.close()
            self._hashing = None

    def _begin(self) -> list[Fact]:
        """Start a look; where the manifest changed, all that is known is held against it again."""
        self._next = self._clock() + self._settings.interval
        self._walk = Walk(self._root)
        self._there = set()
        self._told = 0
        if not self._manifest.refresh():
            return []
        state = "" if self._manifest.there else "missing"
        facts = [self._fact("changed", b"", None, {"kind": "manifest", "manifest": state, "path": self._manifest.path})]
        for name, seen in self._files.items():
            verdict = self._manifest.verdict(name, bytes.fromhex(seen.digest))
            if verdict in BAD and len(facts) < ENTRIES:
                facts += self._tell("present", name, seen, verdict)
        return facts

    def _look(self, walk: Walk) -> list[Fact]:
        """The next few names; at the end of a look, what went away."""
        for _ in range(ENTRIES):
            found = next(iter(walk), None)
            if found is None:
                self._walk = None
                return self._finish(walk)
            name, there = found
            if self._manifest.is_one(name):
                continue
            if name in self._files or name in self._queue or len(self._files) + len(self._queue) < self._settings.files:
                self._there.add(name)
                self._consider(name, there)
            else:
                self.counters["beyond_bound"] += 1
        return []

    def _consider(self, name: bytes, there: os.stat_result) -> None:
        """Queue a file that is new or not as it was, once it has settled."""
        seen, known = Seen.of(there), self._files.get(name)
        if known is not None and known.unchanged(seen):
            return
        if 0 <= time.time() - max(there.st_mtime, there.st_ctime) < SETTLED:
            self.counters["unsettled"] += 1
        else:
            self._queue[name] = seen

    def _finish(self, walk: Walk) -> list[Fact]:
        self.counters["looks"] += 1
        self.counters["files"] = len(self._there)
        self.counters["unreadable_folders"] += walk.blind
        if walk.blind:
            return []  # what was not seen may still be there
        listed = self._manifest.listed
        gone = [name for name in self._files if name not in self._there]
        missing = listed.keys() - self._there
        facts: list[Fact] = []
        for name in gone:
            del self._files[name]
            self._state = None
            facts += self._tell("removed", name, None, "missing" if name in listed else "")
        for name in sorted(missing - self._missing - set(gone))[:ENTRIES]:
            facts += self._tell("removed", name, None, "missing")
        self._missing = missing
        return facts

    def _hash(self) -> list[Fact]:
        """Read on in the file at the head of the queue, as far as the budget goes."""
        facts: list[Fact] = []
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
                facts += self._hashed(hashing) if count == 0 else []
        return facts

    def _hashed(self, hashing: Hashing) -> list[Fact]:
        name, known = hashing.name, self._files.get(hashing.name)
        seen = hashing.seen._replace(digest=hashing.digest.hexdigest())
        self._files[name], self._state = seen, None
        verdict = self._manifest.verdict(name, hashing.digest.digest())
        if self._baseline:
            return self._tell("present", name, seen, verdict) if verdict in BAD else []
        if known is None:
            return self._tell("created", name, seen, verdict)
        if known.digest != seen.digest:
            return self._tell("changed", name, seen, verdict)
        if (known.owner, known.writable) != (seen.owner, seen.writable):
            return self._tell("owner", name, seen, verdict)
        return []

    def _settle(self) -> list[Fact]:
        """Once all is read: the baseline is done, and a dataset's changes are told."""
        if self._walk is not None or self._queue or self._hashing is not None or not self.counters["looks"]:
            return []
        if self._baseline:
            self._baseline, self._state = False, None
        sums = {name: count for name, count in self._sums.items() if count}
        self._sums = dict.fromkeys(self._sums, 0)
        if self._settings.kind != "dataset" or not sums:
            return []
        fields = {"action": "dataset-change", "provider": "integrity", "dataset": self._settings.path, **sums}
        return [Fact("ai.training", now(), fields, None)]

    def _tell(self, action: str, name: bytes, seen: Seen | None, verdict: str) -> list[Fact]:
        counted = {"created": "added", "changed": "changed", "removed": "removed"}.get(action)
        if counted and not self._baseline:
            self._sums[counted] += 1
        if self._settings.kind == "dataset":
            self._told += 1
            if self._told > SINGLY:
                return []
        return [self._fact(action, name, seen, {"manifest": verdict})]

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
        }
        if model:
            fields["model"] = model_name(name.partition(b"/")[0].partition(b".")[0].decode("utf-8", "replace"))
        if seen is not None:
            fields |= {"size": seen.size, "owner": seen.owner, "writable": seen.writable}
            fields |= {"sha256": seen.digest} if model else {}
        return Fact("ai.model_access", now(), fields | more, None)


def _known(state: State | None) -> dict[bytes, Seen] | None:
    """The files of a state, or None where it has none that can be used."""
    files = (state or {}).get("files")
    if not isinstance(files, dict):
        return None
    try:
        return {str(name).encode("latin-1"): _seen(row) for name, row in files.items()}
    except (TypeError, ValueError, IndexError):
        return None


def _seen(row: list[object]) -> Seen:
    """What a state holds of one file. Raises TypeError, ValueError or IndexError for anything else."""
    inode, size, modified, changed = (int(str(part)) for part in row[:4])
    return Seen(inode, size, modified, changed, str(row[4]), str(row[5]), bytes.fromhex(str(row[6])).hex())
