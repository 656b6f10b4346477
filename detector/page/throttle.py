"""How often somebody may try: failures by key within a time, in a table that cannot grow."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Network, ip_address

MAX_KEYS = 4096
"""Beyond it the one longest quiet is forgotten."""


def neighbourhood(address: str) -> str:
    """What counts as one address: of IPv6 the network, for whoever has one address there has 2 to the 64th."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    return str(IPv6Network((int(found), 64), strict=False)) if found.version == 6 and not found.ipv4_mapped else address


class Throttle:
    """At most so many failures of a key within so many seconds."""

    def __init__(self, most: int, seconds: float, clock: Callable[[], float]) -> None:
        self._most = most
        self._seconds = seconds
        self._clock = clock
        self._failures: OrderedDict[str, list[float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait(self, key: str) -> float:
        """Seconds until the key may try again; 0 where it may now."""
        now = self._clock()
        with self._lock:
            recent = self._recent(key, now)
            return max(recent[0] + self._seconds - now, 1.0) if len(recent) >= self._most else 0.0

    def fail(self, key: str) -> None:
        """Note a failure."""
        now = self._clock()
        with self._lock:
            recent = self._recent(key, now)
            self._failures.pop(key, None)
            while len(self._failures) >= MAX_KEYS:
                self._failures.popitem(last=False)
            self._failures[key] = [*recent, now][-self._most :]

    def forget(self, key: str) -> None:
        """It succeeded."""
        with self._lock:
            self._failures.pop(key, None)

    def _recent(self, key: str, now: float) -> list[float]:
        return [at for at in self._failures.get(key, ()) if now - at < self._seconds]
