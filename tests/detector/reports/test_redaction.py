"""No raw address passes."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.reports.redaction import GONE, redacted


@pytest.mark.parametrize(
    "address",
    ["10.20.1.10", "255.255.255.255", "2001:db8::1", "fe80::1%eth0", "::1", "2001:db8:1:2:3:4:5:6", "aa:bb:cc:dd:ee:ff",
     "AA-BB-CC-DD-EE-FF", "aabb.ccdd.eeff", "::ffff:10.1.2.3", "nurse.one@hospital.example"],
)  # fmt: skip
def test_addresses_go(address: str) -> None:
    assert redacted(f"from {address} to it") == f"from {GONE} to it"
    assert address not in redacted(f"({address}),{address};<{address}>")


@pytest.mark.parametrize(
    "text",
    [
        "ip:8a50ca2c7fe6b84f → ip:800a1088b525c0b1 port 104",
        "41 ports within 60 s",
        "at 12:18:24",
        "version 1.2.3",
        "names under cdn-sync.test",
    ],
)
def test_what_is_no_address_stays(text: str) -> None:
    assert redacted(text) == text


@given(st.ip_addresses(), st.sampled_from(["", " ", "x=", "/", "(", "→"]), st.sampled_from(["", " ", "/24", ")", ",", "."]))
def test_any_ip_address_goes(address: ipaddress.IPv4Address | ipaddress.IPv6Address, before: str, after: str) -> None:
    assert str(address) not in redacted(f"{before}{address}{after}")
