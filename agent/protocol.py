# cython: language_level=3, annotation_typing=False
"""What every protocol parser is: bytes of one conversation in, facts out; never content.

The meter hands a parser the payload of each segment in stream order, as far as it was captured. A parser keeps bounded
state, tells how many bytes it does not need to see, and notes facts. The first fact of its kind in a minute leaves at
once; its repeats are counted and leave as one sum when the minute is cut: prompt for rules, bounded under a flood.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

try:
    import cython
except ModuleNotFoundError:
    from agent import pure as cython

DONE = -1
"""Returned by `Parser.data`: nothing more is wanted from this conversation."""

FOREIGN = -3
"""Returned by `Parser.data` in place of a ValueError, where that is common: an exception costs more than many a parse."""

MAX_KINDS = 64
"""Different facts that one conversation may tell a minute; the rest is counted in `overflow`."""
_FEW = 8
"""Kinds of facts among which the same one is looked for by comparing: to hash all values costs more."""


class Octets:
    """Parts of what was captured. A class, because compiled modules share classes and not functions under one name."""

    @staticmethod
    def part(data: bytes, start: int, end: int) -> bytes:
        """`data[start:end]`, for a start that is not negative; compiled, no slice object is made on the way."""
        first = data
        size = len(data)
        end = min(end, size)
        if start == 0 and end == size:
            return data
        return first[start:end] if 0 <= start < end else b""

    @staticmethod
    def nth(data: bytes, byte: int, count: int, start: int, end: int) -> int:
        """Where the `count`th such byte of `data[start:end]` stands; `end` where there are fewer."""
        first = data
        end = min(end, len(data))
        if not cython.compiled:
            for _ in range(count):
                start = data.find(byte, start, end) + 1
                if not start:
                    return end
            return start - 1
        while 0 <= start < end:
            if first[start] == byte:
                count -= 1
                if count == 0:
                    return start
            start += 1
        return end


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

    __slots__ = ("_firsts", "_tally", "fresh", "overflow")

    name = ""
    """`network.protocol` of the flow."""
    transports = frozenset({"tcp"})
    first_bytes = bytes(range(256))
    """What a payload that `looks_like` this protocol may begin with: no other is shown to it."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        """What a parser needs before anything else; compiled parsers call this rather than `super().__init__`."""
        self.fresh: list[Fact] = []
        self.overflow = 0
        self._firsts: list[Fact] | None = None
        self._tally: dict[tuple[object, ...], Fact] | None = None

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
        need not be shown (0: show the next), or DONE. Raises ValueError or returns FOREIGN where the bytes are not the
        protocol's; the meter then gives the conversation up.
        """
        raise NotImplementedError

    def gap(self, direction: int) -> None:
        """Bytes of this direction were lost: drop what was half read, and look for the next message boundary."""

    def note(self, dataset: str, when: int, fields: dict[str, object], sums: dict[str, int] | None = None) -> None:
        """Tell one act. `fields` are names and values of the dataset's structure, hashable; `sums` are added up.

        The dictionary belongs to the fact from then on. A parser that keeps those of its repeats and tells them again is
        served faster: they are known by identity.
        """
        first = self._told_before(dataset, fields)
        if first is None:
            self._add(dataset, when, fields, sums)
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

    def note_size(self, dataset: str, when: int, fields: dict[str, object], size: int) -> None:
        """Tell one act whose only sum is its `size`; a repeat of kept fields costs no dictionary."""
        if self._firsts is not None:
            for first in self._firsts:
                if first.fields is fields:
                    repeats = first.repeats
                    if repeats is None or repeats.sums is None:
                        break
                    repeats.count += 1
                    repeats.when = when
                    repeats.sums["size"] = repeats.sums.get("size", 0) + size
                    return
        self.note(dataset, when, fields, {"size": size})

    def cut(self) -> list[Fact]:
        """The minute's repeats, and a clean slate for the next."""
        firsts = self._firsts
        if firsts is None:
            return []
        self._firsts = None
        self._tally = None
        return [first.repeats for first in firsts if first.repeats is not None]

    def _told_before(self, dataset: str, fields: dict[str, object]) -> Fact | None:
        """The first of the minute that said the same, if there is one."""
        firsts = self._firsts
        if firsts is None:
            return None
        for first in firsts:
            if first.fields is fields:
                return first
        if self._tally is not None:
            return self._tally.get(_key(dataset, fields))
        for first in firsts:
            if first.dataset == dataset and first.fields == fields:
                return first
        return None

    def _add(self, dataset: str, when: int, fields: dict[str, object], sums: dict[str, int] | None) -> None:
        """Take the first of its kind, where there is room for another kind."""
        firsts = self._firsts
        if firsts is None:
            firsts = self._firsts = []
        if len(firsts) >= MAX_KINDS:
            self.overflow += 1
            return
        first = _fact(dataset, when, fields, sums, 1)
        self.fresh.append(first)
        firsts.append(first)
        if self._tally is not None:
            self._tally[_key(dataset, fields)] = first
        elif len(firsts) > _FEW:
            self._tally = {_key(first.dataset, first.fields): first for first in firsts}


def _key(dataset: str, fields: dict[str, object]) -> tuple[object, ...]:
    return dataset, tuple(fields), tuple(fields.values())


class Recogniser:
    """Asks the parsers, in their order, whose a conversation is."""

    __slots__ = ("_asked",)

    def __init__(self, parsers: Iterable[type[Parser]]) -> None:
        self._asked: dict[str, list[list[tuple[type[Parser], Callable[[bytes, int, int], bool]]]]] = {}
        """Transport → first byte → who is asked."""
        for parser in parsers:
            for transport in parser.transports:
                if transport not in self._asked:
                    self._asked[transport] = [[] for _ in range(256)]
                for byte in parser.first_bytes:
                    self._asked[transport][byte].append((parser, parser.looks_like))

    def identify(self, transport: str, payload: bytes, source_port: int, destination_port: int) -> Parser | None:
        """A new parser for the conversation that these first bytes of a segment belong to, or None."""
        asked = self._asked[transport]
        for parser, looks_like in asked[payload[0]]:
            if looks_like(payload, source_port, destination_port):
                return parser()
        return None


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
    header goes on by a byte; it raises ValueError where the bytes are no header. A subclass may read it in
    `_measure` instead, which costs no call. A message is given out once its kept part is complete, or the capture's snap
    length has cut it. Once the boundary is lost, to a gap or the snap length, it is
    looked for at the start of each segment. Memory: at most `keep` bytes.
    """

    __slots__ = ("_buffer", "_header", "_keep", "_lost", "_size_of", "_total", "foreign", "skip")

    def __init__(self, header: int, keep: int, size_of: Callable[[bytes], int] | None = None) -> None:
        self._open(header, keep)
        self._size_of = size_of

    def _open(self, header: int, keep: int) -> None:
        """Set all that a subclass needs."""
        self._header = header
        self._keep = keep
        self._size_of = None
        self._buffer = b""
        self._total = 0
        self._lost = False
        self.skip = 0
        """Bytes of the stream until the next header, for `Parser.data` to return."""
        self.foreign = False
        """Whether `_measure` found no header where one had to be, and said so here rather than by a ValueError."""

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
        begin = -1  # where the message begins, if it does so in this payload
        captured = len(payload)
        self.skip = 0
        while position < captured:
            if not self._total:
                if not self._buffer:
                    begin = position
                part = Octets.part(payload, position, position + max(self._header - len(self._buffer), 1))
                self._buffer = self._buffer + part if self._buffer else part
                position += len(part)
                if len(self._buffer) < self._header:
                    break
                if not self._read_header():
                    if not self._buffer:
                        return messages
                    continue
            position = self._gather(payload, begin, position)
            held = len(self._buffer)
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

    def _gather(self, payload: bytes, begin: int, position: int) -> int:
        """Keep of the message what is to be kept and is there; returns where that ends."""
        held = len(self._buffer)
        want = min(self._keep, self._total) - held
        if want <= 0:
            return position
        if begin < 0:
            self._buffer += Octets.part(payload, position, position + want)
        else:
            self._buffer = Octets.part(payload, begin, position + want)
        return position + len(self._buffer) - held

    def _read_header(self) -> bool:
        """Learn the message's length; False where the header goes on, or the boundary is still lost."""
        size = self._measure(self._buffer)
        if size < 0:
            self.reset()
            return False
        self._lost = self._lost and not size
        if size:
            self._total = max(size, len(self._buffer))
        return size > 0

    def _measure(self, header: bytes) -> int:
        """The message's length, 0 where the header goes on, −1 or what `_none` says where it is none."""
        if self._size_of is None:
            raise NotImplementedError
        try:
            return self._size_of(header)
        except ValueError as error:
            return self._none(str(error))

    def _none(self, why: str) -> int:
        """−1 where the boundary is still looked for; raises ValueError where a header had to be."""
        if not self._lost:
            raise ValueError(why)
        return -1
