# cython: language_level=3, annotation_typing=False
"""What every protocol parser is: bytes of one conversation in, facts out; never content.

The meter hands a parser the payload of each segment in stream order, as far as it was captured. A parser keeps bounded
state, tells how many bytes it does not need to see, and notes facts. The first fact of its kind in a minute leaves at
once; its repeats are counted and leave as one sum when the minute is cut: prompt for rules, bounded under a flood.
"""

from __future__ import annotations

from collections.abc import Callable

DONE = -1
"""Returned by `Parser.data`: nothing more is wanted from this conversation."""

MAX_KINDS = 64
"""Different facts that one conversation may tell a minute; the rest is counted in `overflow`."""


class Octets:
    """Parts of what was captured. A class, because compiled modules share classes and not functions under one name."""

    @staticmethod
    def part(data: bytes, start: int, end: int) -> bytes:
        """Copy `data[start:end]`, for a start that is not negative; compiled, no slice object is made on the way."""
        first = data
        end = min(end, len(data))
        return first[start:end] if 0 <= start < end else b""


class Fact:
    """One kind of act, `count` times, with the raw values that privacy will see to."""

    __slots__ = ("count", "dataset", "fields", "repeats", "sums", "when")

    def __init__(self, dataset: str, when: int, fields: dict[str, object], sums: dict[str, int] | None) -> None:
        self.dataset = dataset
        self.when = when
        self.fields = fields
        self.sums = sums
        self.count = 1
        self.repeats: Fact | None = None
        """Where this is the first of its kind in a minute: the others so far."""


class Parser:
    """One conversation, as one application protocol sees it."""

    __slots__ = ("_same", "_tally", "fresh", "overflow")

    name = ""
    """`network.protocol` of the flow."""
    transports = frozenset({"tcp"})
    first_bytes = bytes(range(256))
    """What a payload that `looks_like` this protocol may begin with: no other is shown to it."""

    def __init__(self) -> None:
        self.fresh: list[Fact] = []
        self.overflow = 0
        self._tally: dict[tuple[object, ...], Fact] = {}
        self._same: dict[int, Fact] = {}

    @staticmethod
    def looks_like(payload: bytes, source_port: int, destination_port: int) -> bool:
        """Whether the first captured bytes of a segment, of either direction, are this protocol's.

        Ports may break a tie where content alone is weak; they never suffice.
        """
        raise NotImplementedError

    def data(self, direction: int, payload: bytes, length: int, when: int) -> int:
        """Take the next bytes of one direction.

        direction: 0 from the originator, 1 from the responder. payload: what was captured, never empty. length: bytes on
        the wire, ≥ len(payload). when: microseconds since the epoch. Returns how many of the stream's bytes after these
        need not be shown (0: show the next), or DONE. Raises ValueError where the bytes are not the protocol's; the
        meter then gives the conversation up.
        """
        raise NotImplementedError

    def gap(self, direction: int) -> None:
        """Bytes of this direction were lost: drop what was half read, and look for the next message boundary."""

    def note(self, dataset: str, when: int, fields: dict[str, object], sums: dict[str, int] | None = None) -> None:
        """Tell one act. `fields` are names and values of the dataset's structure, hashable; `sums` are added up.

        The dictionary belongs to the fact from then on. A parser that keeps those of its repeats and tells them again is
        served faster: they are known by identity.
        """
        first = self._same.get(id(fields))
        if first is None:
            key = (dataset, tuple(fields), tuple(fields.values()))
            first = self._tally.get(key)
            if first is None:
                if len(self._tally) >= MAX_KINDS:
                    self.overflow += 1
                    return
                first = _fact(dataset, when, fields, sums, 1)
                self.fresh.append(first)
                self._tally[key] = self._same[id(fields)] = first
                return
        repeats = first.repeats
        if repeats is None:
            first.repeats = _fact(dataset, when, first.fields, None if sums is None else dict(sums), 1)
            return
        repeats.count += 1
        repeats.when = when
        if sums is not None:
            if repeats.sums is None:
                repeats.sums = dict(sums)
            else:
                for name, amount in sums.items():
                    repeats.sums[name] = repeats.sums.get(name, 0) + amount

    def cut(self) -> list[Fact]:
        """The minute's repeats, and a clean slate for the next."""
        if not self._tally:
            return []
        repeats = [first.repeats for first in self._tally.values() if first.repeats is not None]
        self._tally = {}
        self._same = {}
        return repeats


def _fact(dataset: str, when: int, fields: dict[str, object], sums: dict[str, int] | None, count: int) -> Fact:
    """Make a fact without the call of a class, which costs more than the fact."""
    fact = Fact.__new__(Fact)
    fact.dataset = dataset
    fact.when = when
    fact.fields = fields
    fact.sums = sums
    fact.count = count
    fact.repeats = None
    return fact


class Framer:
    """Cuts one direction of a stream into length-prefixed messages, keeping the first `keep` bytes of each.

    `size_of` reads a header of `header` bytes and returns the whole message's length, header included, or 0 where the
    header goes on by a byte; it raises ValueError where the bytes are no header. A message is given out once its kept part
    is complete, or the capture's snap length has cut it. Once the boundary is lost, to a gap or the snap length, it is
    looked for at the start of each segment. Memory: at most `keep` bytes.
    """

    __slots__ = ("_buffer", "_header", "_keep", "_lost", "_size_of", "_total", "skip")

    def __init__(self, header: int, keep: int, size_of: Callable[[bytes], int]) -> None:
        self._header = header
        self._keep = keep
        self._size_of = size_of
        self._buffer = b""
        self._total = 0
        self._lost = False
        self.skip = 0
        """Bytes of the stream until the next header, for `Parser.data` to return."""

    def reset(self) -> None:
        """Forget a half-read message: the next segment is asked whether it begins with a header."""
        self._buffer = b""
        self._total = 0
        self._lost = True
        self.skip = 0

    def feed(self, payload: bytes, length: int) -> list[tuple[bytes, int]]:
        """The messages that these bytes complete, as (kept bytes, whole length).

        The bytes announced by the last `skip` must have been left out. Raises ValueError where a header is expected and
        none is there, unless the boundary was lost.
        """
        messages: list[tuple[bytes, int]] = []
        position = 0
        captured = len(payload)
        self.skip = 0
        while position < captured:
            if not self._total:
                part = Octets.part(payload, position, position + max(self._header - len(self._buffer), 1))
                self._buffer = self._buffer + part if self._buffer else part
                position += len(part)
                if len(self._buffer) < self._header:
                    break
                if not self._read_header():
                    if not self._buffer:
                        return messages
                    continue
            held = len(self._buffer)
            want = min(self._keep, self._total) - held
            if want > 0:
                part = Octets.part(payload, position, position + want)
                self._buffer += part
                position += len(part)
                held += len(part)
            if held >= min(self._keep, self._total) or length > captured:
                messages.append((self._buffer, self._total))
                position += self._total - held
                self._buffer = b""
                self._total = 0
        beyond = position - length
        if length > captured and (beyond < 0 or self._buffer):
            self.reset()  # a header lies in the part that was not captured
        elif beyond > 0:
            self.skip = beyond
        return messages

    def _read_header(self) -> bool:
        """Learn the message's length; False where the header goes on, or the boundary is still lost."""
        try:
            size = self._size_of(self._buffer)
        except ValueError:
            if not self._lost:
                raise
            self.reset()
            return False
        self._lost = self._lost and not size
        if size:
            self._total = max(size, len(self._buffer))
        return size > 0
