"""Captures cut and counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import pieces, traffic


def test_a_piece_is_the_first_packets(tmp_path: Path) -> None:
    whole, piece = tmp_path / "whole.pcap", tmp_path / "piece.pcap"
    traffic.write(whole, packets=2_000, flows=100, seconds=60)
    totals = pieces.cut(whole, piece, 50, ours=True)
    assert totals["packets"] == pieces.count(piece)["packets"] == 50
    assert whole.read_bytes().startswith(piece.read_bytes())
    assert set(pieces.cut(whole, piece, 50, ours=False)) == {"packets"}


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.pcapng").write_bytes(b"\x0a\x0d\x0d\x0a" + bytes(40))
    with pytest.raises(ValueError, match="classic pcap"):
        pieces.count(tmp_path / "x.pcapng")
