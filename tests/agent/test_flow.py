from __future__ import annotations

import pytest

from agent.flow import Ends, FlowRecord
from tests.agent.packets import datagram, frames, metered


def test_a_record_is_what_the_meter_says() -> None:
    ends = Ends(1, 4, 17, 0, 10, 0, 20, 1000, 2000, 5, 6, 7)
    record = FlowRecord(ends, "idle", "dns", 2, 1, 2, 3, 4, "", (1,), (2,), 0, 0, 0)
    assert (record.ends.source_lo, record.ends.destination_port, record.part, record.protocol) == (10, 2000, 2, "dns")
    assert ends.private is None
    assert metered(frames(datagram(("10.0.0.1", 1), ("10.0.0.2", 2)))).only.ours.packets == 1


def test_a_record_holds_nothing_else() -> None:
    ends = Ends(1, 4, 17, 0, 10, 0, 20, 1000, 2000, 5, 6, 7)
    for thing in (ends, FlowRecord(ends, "idle", "", 0, 1, 2, 3, 4, "", (), (), 0, 0, 0)):
        assert not hasattr(thing, "__dict__")
        with pytest.raises(AttributeError):
            thing.payload = b"secret"  # type: ignore[union-attr]
