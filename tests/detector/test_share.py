"""A share that was kept goes on as if there had been no break, and repeats are told from news."""

from __future__ import annotations

import random
import zlib
from collections.abc import Collection
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detector import share as module
from detector.alert import Alert
from detector.engine import Engine
from detector.setup import load_rules
from detector.share import Share

if TYPE_CHECKING:
    from nigrani.stream.event import Event
    from tests.detector.conftest import Learnt, Maker

RULES = load_rules()


def share(alerts: list[Alert], learnt: Learnt | None = None, told: Collection[str] = ()) -> Share:
    return Share(0, Engine(RULES.empty(), alerts.append, learnt.knowledge if learnt else None, 7.0, told=told), RULES)


def numbered(events: list[Event], boot: str = "0123456789abcdef") -> list[Event]:
    return [
        msgspec.structs.replace(event, id=f"{boot}{number:010x}", sequence=number) for number, event in enumerate(events)
    ]


def wire(alerts: list[Alert]) -> list[bytes]:
    return [msgspec.json.encode(alert.ocsf()) for alert in alerts]


def story(make: Maker, learnt: Learnt) -> list[Event]:
    """An hour with a scan, a burst of C-FIND, a new AE title and a theft in it."""
    at = learnt.end
    events = [
        *make.morning(30, seed=5, at=at),
        *make.scan(at + 200, "ip:ws2"),
        *(make.dicom("c-find", at + 600 + n / 2, "ip:ws1", calling_ae="WS1", count=2) for n in range(100)),
        make.dicom("associate", at + 900, "ip:ws3", calling_ae="ROGUE"),
        make.flow(at + 1300, "ip:ws1", destination="ip:server0", destination_zone="internet", source_payload=5 * 10**9),
    ]
    return numbered(sorted(events, key=lambda event: event.timestamp))


@pytest.mark.parametrize("seed", range(3))
def test_breaks_at_any_moment_change_no_alert(make: Maker, learnt: Learnt, seed: int) -> None:
    events = story(make, learnt)
    plain: list[Alert] = []
    whole = share(plain, learnt)
    for event in events:
        whole.engine.feed(event)
    whole.engine.close()
    assert len({alert.kind for alert in plain}) >= 4

    told: list[Alert] = []
    broken = share(told, learnt)
    chance = random.Random(seed)
    for event in events:
        broken.engine.feed(event)
        if chance.random() < 0.05:
            state = broken.state()
            broken = share(told, learnt)
            broken.resume(state)
    broken.engine.close()
    assert wire(told) == wire(plain)


def test_a_crash_tells_nothing_twice_and_nothing_else(make: Maker, learnt: Learnt) -> None:
    """Whatever happened since the last checkpoint is judged again; what was told then is not told again."""
    events = story(make, learnt)
    plain: list[Alert] = []
    whole = share(plain, learnt)
    for event in events:
        whole.engine.feed(event)
    whole.engine.close()

    for seed in range(5):
        chance = random.Random(seed)
        told: list[Alert] = []
        running = share(told, learnt)
        state, place, since = running.state(), 0, 0
        at = 0
        crashes = 12
        while at < len(events):
            running.engine.feed(events[at])
            at += 1
            if chance.random() < 0.01:
                state, place, since = running.state(), at, len(told)
            elif crashes and chance.random() < 0.02:
                crashes -= 1
                running = share(told, learnt, {alert.id for alert in told[since:]})
                running.resume(state)
                at = place
        running.engine.close()
        assert sorted(wire(told)) == sorted(wire(plain))


def test_repeats_are_told_from_news(make: Maker) -> None:
    alerts: list[Alert] = []
    one = share(alerts)
    events = numbered([make.flow(n) for n in range(10)])
    assert [one.repeated(event) for event in events[:6]] == [False] * 6
    assert [one.repeated(event) for event in events[2:]] == [True] * 4 + [False] * 4
    assert not one.repeated(numbered([make.flow()], boot="another boot     ")[0])


def test_repeats_are_known_after_a_break(make: Maker) -> None:
    alerts: list[Alert] = []
    one, two = share(alerts), share(alerts)
    event = numbered([make.flow()])[0]
    one.repeated(event)
    two.resume(one.state())
    assert two.repeated(event)


def test_boots_are_bounded(make: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BOOTS", 3)
    alerts: list[Alert] = []
    one = share(alerts)
    for number in range(6):
        one.repeated(numbered([make.flow()], boot=f"{number:016x}")[0])
    assert len(one._marks) == 3
    assert one.repeated(numbered([make.flow()], boot=f"{5:016x}")[0])


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (b"", "cut off or too large"),
        (b"no zlib", "damaged"),
        (zlib.compress(b"\xc1"), "."),
        (zlib.compress(msgspec.msgpack.encode({"version": 1})), "missing required field"),
    ],
)
def test_a_state_that_is_none_is_refused(state: bytes, told: str) -> None:
    alerts: list[Alert] = []
    with pytest.raises(ValueError, match=told):
        share(alerts).resume(state)


def test_a_state_of_another_release_is_refused(make: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    alerts: list[Alert] = []
    monkeypatch.setattr(module, "VERSION", 2)
    state = share(alerts).state()
    monkeypatch.undo()
    with pytest.raises(ValueError, match="version 2 and this release reads 1"):
        share(alerts).resume(state)


def test_a_state_cannot_swell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_STATE", 10_000)
    alerts: list[Alert] = []
    with pytest.raises(ValueError, match="too large"):
        share(alerts).resume(zlib.compress(bytes(1 << 20)))


def test_state_of_a_rule_that_changed_is_left_out(make: Maker) -> None:
    """A rule that was tuned meanwhile counts anew; the others go on."""
    alerts: list[Alert] = []
    one = share(alerts)
    for event in make.scan(ports=30):
        one.engine.feed(event)
    kept = one.engine.state()
    assert kept.correlations
    for state in kept.correlations.values():
        state.definition = "another"
    two = share(alerts)
    two.engine.resume(kept)
    assert not two.engine.state().correlations


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_a_damaged_state_is_resumed_or_refused(data: st.DataObject) -> None:
    """Whoever can write to the state's topic can end no detector by it."""
    alerts: list[Alert] = []
    state = bytearray(zlib.decompress(BUSY))
    for _ in range(data.draw(st.integers(1, 4))):
        state[data.draw(st.integers(0, len(state) - 1))] = data.draw(st.integers(0, 255))
    one = share(alerts)
    try:
        one.resume(zlib.compress(bytes(state)))
    except ValueError:
        return
    one.engine.close()


def _busy() -> bytes:
    from tests.detector.conftest import Maker  # noqa: PLC0415 - made once for the property above

    alerts: list[Alert] = []
    one = share(alerts)
    for event in numbered(Maker().morning(2) + Maker().scan(60)):
        one.repeated(event)
        one.engine.feed(event)
    return one.state()


BUSY = _busy()
