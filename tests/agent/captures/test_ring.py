"""One ring on a wire of its own."""

from __future__ import annotations

import errno
import time

from agent.captures.bpf import Program
from agent.captures.filter import Look, build
from agent.captures.ring import Ring, Totals
from agent.meter import Meter
from tests.agent.captures.isolation import ip, isolated, needs_namespaces, send, udp

pytestmark = needs_namespaces


def ring(snap: int = 256) -> Ring:
    made = Ring(1 << 20, build(Look(snap)), cooked=False)
    made.listen("vb")
    return made


def drained(made: Ring, meter: Meter) -> int:
    time.sleep(0.15)  # blocks are handed over after 50 ms
    return made.feed(meter, made.ready())


def nothing_before_it_listens() -> None:
    made = Ring(1 << 20, build(Look()), cooked=False)
    send("va", udp(9))
    made.listen("vb")
    send("va", udp(10))
    meter = Meter(lambda *_: None)
    assert drained(made, meter) == 1
    assert made.totals() == Totals(1, 0, 0)


def blocks_go_round() -> None:
    made, meter = ring(), Meter(lambda *_: None)
    seen = 0
    for _ in range(10):
        send("va", *[udp(9, bytes(200))] * 400)
        seen += drained(made, meter)
    assert seen == 4000
    assert made.totals() == Totals(4000, 0, 0)
    assert made.totals() == Totals()


def a_full_ring_is_counted() -> None:
    made = ring()
    send("va", *[udp(9, bytes(200))] * 6000)
    time.sleep(0.15)
    assert made.ready() == made.blocks
    packets, dropped, freezes = made.totals()
    assert packets == 6000
    assert freezes >= 1
    assert made.feed(Meter(lambda *_: None), made.blocks) == packets - dropped
    assert made.ready() == 0


def the_filter_changes_under_way() -> None:
    made, meter = ring(), Meter(lambda *_: None)
    made.filter(Program(build(Look(0))))
    send("va", udp(9))
    made.filter(build(Look(256)))
    send("va", udp(9))
    assert drained(made, meter) == 1


def promiscuous_while_it_is_open() -> None:
    made = ring()
    assert "promiscuity 0" in ip("-d", "link", "show", "vb")
    made.take_in_all(int(ip("-o", "link", "show", "vb").split(":")[0]))
    assert "promiscuity 1" in ip("-d", "link", "show", "vb")
    made.close()
    assert "promiscuity 0" in ip("-d", "link", "show", "vb")


def down_is_told_once() -> None:
    made = ring()
    assert made.error() == 0
    ip("link", "set", "vb", "down")
    assert made.error() == errno.ENETDOWN
    assert made.error() == 0


def a_group_shares_packets_by_flow() -> None:
    rings = [ring(), ring()]
    for one in rings:
        one.join(7, "hash")
    meter = Meter(lambda *_: None)
    send("va", *(udp(port) for port in range(1000, 1100)), *(udp(port) for port in range(1000, 1100)))
    seen = [drained(one, meter) for one in rings]
    assert sum(seen) == 200
    assert min(seen) > 20
    assert all(count % 2 == 0 for count in seen)


def test_nothing_before_it_listens() -> None:
    isolated(nothing_before_it_listens)


def test_blocks_go_round() -> None:
    isolated(blocks_go_round)


def test_a_full_ring_is_counted() -> None:
    isolated(a_full_ring_is_counted)


def test_the_filter_changes_under_way() -> None:
    isolated(the_filter_changes_under_way)


def test_promiscuous_while_it_is_open() -> None:
    isolated(promiscuous_while_it_is_open)


def test_down_is_told_once() -> None:
    isolated(down_is_told_once)


def test_a_group_shares_packets_by_flow() -> None:
    isolated(a_group_shares_packets_by_flow)
