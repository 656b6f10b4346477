"""Being written."""

from __future__ import annotations

from agent.protocol import Parser


class Sip(Parser):
    """Being written."""

    __slots__ = ()

    name = "sip"
    transports = frozenset({"tcp"})

    @staticmethod
    def looks_like(payload: bytes, source_port: int, destination_port: int) -> bool:
        """Nothing yet."""
        return False
