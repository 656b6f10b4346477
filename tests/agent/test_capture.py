from __future__ import annotations

from pathlib import Path

import pytest

from agent.capture import open_capture
from agent.captures.pcap import PcapFile
from agent.captures.pcapng import PcapngFile
from tests.agent.packets import frames, pcap, pcapng, segment

PACKETS = frames(segment(1, 10), segment(11, 10))


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_kind_is_told_by_the_content(tmp_path: Path, order: str) -> None:
    path = tmp_path / "capture.of.anything"
    path.write_bytes(pcapng(PACKETS, order=order))
    assert isinstance(open_capture(path), PcapngFile)
    for nano in (False, True):
        path.write_bytes(pcap(PACKETS, order=order, nano=nano))
        capture = open_capture(path)
        assert isinstance(capture, PcapFile)
        assert (capture.order, capture.nano, capture.size) == (order, nano, path.stat().st_size)


@pytest.mark.parametrize("content", [b"", b"\xa1", b"\xa1\xb2\xc3\xd5" + bytes(100), b'{"msec": 1}\n', b"\x1f\x8b\x08\0"])
def test_what_is_no_capture_is_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.pcap"
    path.write_bytes(content)
    assert open_capture(path) is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pcap([])[:23], "23 bytes of 24"),
        (pcap([], link=147), "link type 147"),
        (pcapng([])[:27], "27 bytes of 28"),
    ],
)
def test_what_cannot_be_read_says_why(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "x.pcap"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        open_capture(path)
