"""One device's story."""

from __future__ import annotations

from detector.cases.store import Store
from tests.detector.cases.made import finding
from tests.detector.page.visitor import Visitor

DEVICE = "ip:0123456789abcdef"


def test_all_of_it(visitor: Visitor, store: Store, case: int) -> None:
    store.close(1, "asha", "expected", "planned")
    store.add([finding("dns_tunnel", DEVICE, minutes=3000)])
    words = visitor.get("/devices/ip%3A0123456789abcdef").words
    for part in (DEVICE, "pacs", "imaging", "2, 1 not closed", "Port scan", "Dns tunnel", "Expected"):
        assert part in words, part


def test_a_device_nobody_knows(visitor: Visitor) -> None:
    answer = visitor.get("/devices/ip:none")
    assert answer.status == 404
    assert "Nothing is known of this device" in answer.words


def test_a_device_without_end_is_bounded(visitor: Visitor, store: Store) -> None:
    store.add([finding("flood", DEVICE, minutes=at) for at in range(700)])
    answer = visitor.get(f"/devices/{DEVICE}")
    assert "The newest 500 of 700 are drawn." in answer.words
    assert answer.text.count("<tr") == 51
