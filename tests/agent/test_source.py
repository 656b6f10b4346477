from __future__ import annotations

from pathlib import Path

from agent.sink import BATCH
from agent.source import LIMIT, Piece, Source
from agent.sources.journald import JournalReader
from agent.sources.settings import MAX_SOURCES, Journal, Syslog
from agent.sources.syslog import SyslogListener
from agent.sources.tail import Tail


def test_every_source_is_one(tmp_path: Path) -> None:
    sources: list[Source] = [
        Tail(tmp_path / "x.log"),
        SyslogListener(Syslog(transport="udp", listen="127.0.0.1:0")),
        JournalReader(Journal(("a.service",), "orthanc", command=("/bin/true",))),
    ]
    for source in sources:
        assert source.read() == []
        assert all(isinstance(count, int) for count in source.counters.values())
        assert isinstance(dict(source.state()), dict)
        source.close()


def test_a_piece_has_three_parts() -> None:
    assert Piece(b"x", None, "a") == (b"x", None, "a")


def test_what_is_given_out_at_once_is_one_record_of_the_bus() -> None:
    """Else a kill between two records would part facts from the place after them."""
    assert LIMIT <= BATCH
    assert MAX_SOURCES <= LIMIT
