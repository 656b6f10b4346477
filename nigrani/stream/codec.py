"""Events to JSON lines and back."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from nigrani.stream.event import Event
from nigrani.stream.events import AnyEvent

MAX_LINE = 65_536
"""A longer line is no event."""

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(AnyEvent)


def encode(event: Event) -> bytes:
    """One JSON object, without a line end."""
    return _encoder.encode(event)


def encode_lines(events: Iterable[Event]) -> bytes:
    """NDJSON."""
    return _encoder.encode_lines(events)


def decode(line: bytes) -> AnyEvent:
    """The event of one line. Raises ValueError, with the path of the fault, for anything else."""
    if len(line) > MAX_LINE:
        raise ValueError(f"{len(line)} bytes are no event (at most {MAX_LINE})")
    try:
        event: AnyEvent = _decoder.decode(line)
    except RecursionError:
        raise ValueError("nested too deeply for an event") from None
    return event
