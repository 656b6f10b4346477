from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.protocol import Parser
from agent.protocols import PARSERS, identify


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.name)
@given(payload=st.binary(min_size=1, max_size=80), port=st.sampled_from([53, 67, 88, 1883, 3389, 40_000]))
def test_only_what_begins_as_it_says_looks_like_it(parser: type[Parser], payload: bytes, port: int) -> None:
    others = bytes(set(range(256)) - set(parser.first_bytes))
    for first in others[:: max(len(others) // 16, 1)]:
        assert not parser.looks_like(bytes([first]) + payload, port, port)


def test_the_first_byte_leads_to_the_parser() -> None:
    for payload, transport, name in [
        (b"SSH-2.0-x\r\n", "tcp", "ssh"),
        (b"GET / HTTP/1.1\r\n", "tcp", "http"),
        (b"HTTP/1.1 200 OK\r\n", "tcp", "http"),
        (b"\x16\x03\x01\x00\x80\x01\x00\x00\x7c", "tcp", "tls"),
        (b"\x0bMSH|^~\\&|A", "tcp", "hl7"),
    ]:
        found = identify(transport, payload, 40_000, 40_001)
        assert found is not None
        assert found.name == name
    assert identify("udp", b"\x80" + bytes(40), 40_000, 40_001) is None
