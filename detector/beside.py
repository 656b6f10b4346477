"""What the detector knows beside an event: what of it is new, how rare it is, of what class its devices are.

An engine has one of these and shows it each event in turn; what is dear is worked out when a rule first asks for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from detector.config import Devices
from detector.features import flow_matrix, flow_row
from nigrani.stream.event import Event
from nigrani.stream.events import NetworkFlow

if TYPE_CHECKING:
    from detector.engine import Knowledge

NOTHING_NEW: tuple[str, ...] = ()
NAMES_NONE = Devices()


class Beside:
    """A `Known` of the event that was shown last."""

    __slots__ = ("_devices", "_event", "_p", "knowledge", "new")

    def __init__(self, knowledge: Knowledge | None = None, devices: Devices = NAMES_NONE) -> None:
        self.knowledge = knowledge
        self.new = NOTHING_NEW
        self._devices = devices
        self._event: Any = None
        self._p: float | None = -1.0

    def show(self, event: Event) -> tuple[str, ...]:
        """Turn to the next event; returns what of it is new."""
        self._event = event
        self._p = -1.0
        knowledge = self.knowledge
        self.new = new = knowledge.seen.new(event) if knowledge is not None else NOTHING_NEW
        return new

    @property
    def p_value(self) -> float | None:
        """How rare the flow is; None of other events, and where there is no model of flows."""
        if self._p == -1.0:
            self._p = self._score()
        return self._p

    @property
    def device_class(self) -> str:
        """Of the device whose story the event tells."""
        event = self._event
        at_source = event.host == getattr(event, "source", "")
        return self.class_of(event.host, getattr(event, "source_zone" if at_source else "destination_zone", ""))

    @property
    def source_class(self) -> str:
        """Of the originator."""
        event = self._event
        return self.class_of(getattr(event, "source", ""), getattr(event, "source_zone", ""))

    @property
    def destination_class(self) -> str:
        """Of the device that was spoken to."""
        event = self._event
        return self.class_of(getattr(event, "destination", ""), getattr(event, "destination_zone", ""))

    def class_of(self, token: str, zone: str) -> str:
        """The class of a device: by the site's word for it, else for its zone, else as it was learnt; empty for none."""
        named = self._devices.tokens.get(token) or self._devices.zones.get(zone)
        if named is not None:
            return named
        classes = self.knowledge.classes if self.knowledge is not None else None
        return classes.of(token) if classes is not None else ""

    def _score(self) -> float | None:
        event = self._event
        flows = self.knowledge.flows if self.knowledge is not None else None
        if flows is None or type(event) is not NetworkFlow:
            return None
        return float(flows.p(flows.score(flow_matrix([flow_row(event, self.new)])).evidence)[0])
