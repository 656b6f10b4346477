"""Triton's trace file (`docs/user_guide/trace.md`): a JSON array without line ends, its objects joined by `id`.

Nothing in it says who asked or when: the nanoseconds count from the host's start, so only differences mean something
and a request's time is its arrival. A trace of level TENSORS holds the input itself, which is told as `log-content`.
"""

from __future__ import annotations

from collections import OrderedDict

import msgspec

from agent.log import json_line
from agent.logs.clock import now
from agent.logs.paths import model_name
from agent.protocol import Fact

MAX_OPEN = 1024
"""Requests begun and not ended; beyond it the oldest are forgotten."""
LAST_STAMPS = frozenset({"HTTP_SEND_END", "GRPC_SEND_END"})
"""End of a request; a step of an ensemble ends with REQUEST_END, and is told as part of the ensemble only."""


class _Stamp(msgspec.Struct):
    name: str
    ns: int


class _Tensor(msgspec.Struct):
    """Its data is not decoded."""

    name: str = ""


class _Piece(msgspec.Struct):
    id: int
    model_name: str = ""
    parent_id: int = 0
    timestamps: list[_Stamp] = []
    activity: str = ""
    tensor: _Tensor | None = None


class _Request:
    """What is known of one so far."""

    __slots__ = ("first", "last", "model", "part")

    def __init__(self) -> None:
        self.model = ""
        self.part = False
        self.first = 0
        self.last = 0


_read = json_line(_Piece)
_Row = tuple[int, str, bool, int, int]
"""Number, model, part, first and last of one request."""


class TritonTrace:
    """One trace file; its requests are joined here, so each file has a reader of its own."""

    name = "triton-trace"
    framing = "objects"

    def __init__(self) -> None:
        self._open: OrderedDict[int, _Request] = OrderedDict()
        self.forgotten = 0
        """Requests whose end did not come in time."""

    def parse(self, line: bytes, arrival: int = 0, /) -> Fact | None:
        """The request that this object ends, or None. Raises ValueError for another shape."""
        piece = _read(line)
        if not (piece.model_name or piece.timestamps or piece.activity):
            raise ValueError("no object of a trace")
        known = self._open.get(piece.id)
        if known is not None and known.model and piece.model_name:
            del self._open[piece.id]  # the server began to count anew
            self.forgotten += 1
        request = self._request(piece.id)
        request.model = model_name(piece.model_name) or request.model
        request.part = request.part or piece.parent_id > 0
        when = arrival or now()
        if piece.tensor is not None:
            fields = {"action": "log-content", "provider": self.name, "server": "triton", "model": request.model}
            return Fact("ai.model_access", when, {**fields}, None)
        for stamp in piece.timestamps:
            request.first = min(request.first or stamp.ns, stamp.ns)
            request.last = max(request.last, stamp.ns)
        ends = {"REQUEST_END"} if request.part else LAST_STAMPS
        if not any(stamp.name in ends for stamp in piece.timestamps):
            return None
        del self._open[piece.id]
        if request.part:
            return None
        fields = {"server": "triton", "model": request.model, "action": "predict"}
        return Fact("ai.inference", when, {**fields, "source": "", "duration": max(request.last - request.first, 0)}, None)

    def memory(self) -> list[_Row]:
        """The requests begun and not ended."""
        return [(number, one.model, one.part, one.first, one.last) for number, one in self._open.items()]

    def recall(self, memory: object, /) -> None:
        """See `Remembering`."""
        try:
            rows = msgspec.convert(memory, list[_Row])
        except msgspec.ValidationError:
            return
        for number, model, part, first, last in rows[-MAX_OPEN:]:
            request = self._open[number] = _Request()
            request.model, request.part, request.first, request.last = model_name(model), part, first, last

    def _request(self, number: int) -> _Request:
        request = self._open.get(number)
        if request is None:
            if len(self._open) >= MAX_OPEN:
                self._open.popitem(last=False)
                self.forgotten += 1
            request = self._open[number] = _Request()
        return request
