"""The words of an exclusion: what is understood, and how the rest is refused."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from agent.captures.exclusion import Exclusion, Is, Net, Port, parse


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("host 10.0.0.5", (Net(ip_network("10.0.0.5/32"), True, True),)),
        ("src host 2001:db8::1", (Net(ip_network("2001:db8::1/128"), True, False),)),
        ("dst net 10.9.0.0/16", (Net(ip_network("10.9.0.0/16"), False, True),)),
        ("port 9092", (Port(9092, True, True),)),
        ("tcp src port 9092", (Is(5, 6), Port(9092, True, False))),
        ("arp", (Is(2, 0),)),
        ("udp", (Is(5, 17),)),
        ("host 10.0.0.5 and tcp port 9092", (Net(ip_network("10.0.0.5/32"), True, True), Is(5, 6), Port(9092, True, True))),
    ],
)
def test_what_is_understood(text: str, terms: Exclusion) -> None:
    assert parse(text) == terms


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "a term is missing"),
        ("port 53 and", "a term is missing"),
        ("host kafka-1", "kafka-1 is no address, and names are not looked up"),
        ("host 10.0.0.300", "10.0.0.300 is no address"),
        ("net 10.9.0.1/16", "has host bits set"),
        ("port 0", "0 is no port"),
        ("port ٣", "٣ is no port"),
        ("tcp port http", "http is no port"),
        ("port 53 or port 67", "an `or` is written as two entries"),
        ("not host 10.0.0.5", "`not host 10.0.0.5` is none of"),
        ("icmp port 5", "is none of"),
        ("ether host 00:11:22:33:44:55", "is none of"),
        ("tcp port", "`port` is none of"),
    ],
)
def test_what_is_refused_and_why(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match="exclude ") as caught:
        parse(text)
    assert reason in str(caught.value)
    assert f'exclude "{text}"' in str(caught.value)
