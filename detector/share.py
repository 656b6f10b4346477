"""One partition's share of the work: its engine, how far it has read, and which events are repeats.

The bus delivers at least once. Within a partition the events of one boot of one agent come in the order of their
sequence, but for repeats of earlier ones; so the highest sequence seen tells a repeat without remembering every id.
"""

from __future__ import annotations

import time
import zlib

import msgspec
from msgspec import Struct

from detector.engine import Engine, State
from detector.ruleset import RuleSet
from nigrani.stream.event import Event

VERSION = 1
MAX_STATE = 512 << 20
"""Bytes of an unpacked state; a larger one is not believed."""
MAX_BOOTS = 65_536
"""Boots of agents whose sequence is remembered; beyond it the one longest silent is forgotten."""
PREFIX = 16
"""Characters of `event.id` that name the agent and its boot; the rest is the sequence."""


class Kept(Struct):
    """A share as it is kept."""

    version: int
    marks: dict[str, int]
    engine: State


_decoder = msgspec.msgpack.Decoder(Kept)


class Share:
    """The state of one partition."""

    def __init__(self, partition: int, engine: Engine, rules: RuleSet) -> None:
        """rules: that the engine has, with nothing counted."""
        self.partition = partition
        self.engine = engine
        self.rules = rules
        self.next: int | None = None
        """Offset up to which the state stands; None until the first events."""
        self.kept: int | None = None
        """What `next` was when the state was last kept."""
        self.kept_at = time.monotonic()
        self._marks: dict[str, int] = {}

    def use(self, rules: RuleSet) -> None:
        """Judge by these rules from now on."""
        self.rules = rules
        self.engine.use(rules.empty())

    def repeated(self, event: Event) -> bool:
        """Whether the event was here before; if not, it is noted."""
        boot = event.id[:PREFIX]
        sequence = event.sequence
        last = self._marks.pop(boot, -1)
        if sequence <= last:
            self._marks[boot] = last
            return True
        if len(self._marks) >= MAX_BOOTS:
            del self._marks[next(iter(self._marks))]
        self._marks[boot] = sequence
        return False

    def state(self) -> bytes:
        """What must be kept to go on later."""
        return zlib.compress(msgspec.msgpack.encode(Kept(VERSION, self._marks, self.engine.state())), 1)

    def resume(self, state: bytes) -> None:
        """Go on with what was kept. Raises ValueError; the share is of no use then."""
        unpack = zlib.decompressobj()
        try:
            data = unpack.decompress(state, MAX_STATE)
        except zlib.error as error:
            raise ValueError(f"the kept state is damaged: {error}") from None
        if not unpack.eof:
            raise ValueError("the kept state is cut off or too large")
        kept = _decoder.decode(data)
        if kept.version != VERSION:
            raise ValueError(f"the kept state has version {kept.version} and this release reads {VERSION}")
        self._marks = kept.marks
        self.engine.resume(kept.engine)
