"""Which partitions a member of a consumer group holds, and how far each is."""

from __future__ import annotations

import threading
from collections.abc import Iterable


class Partitions:
    """The books of one member; safe between the thread that polls and the client's own.

    A partition *came* once the group gave it to us, is *held* once its owner's state was found, and is *gone* once the
    group took it back.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._came: list[int] = []
        self._next: dict[int, int] = {}
        self._done: dict[int, int] = {}

    def come(self, partitions: Iterable[int]) -> None:
        """The group gives us these."""
        with self._lock:
            self._came += [partition for partition in partitions if partition not in self._came]

    def came(self) -> list[int]:
        """What we were given and do not hold yet."""
        with self._lock:
            return self._came.copy()

    def hold(self, partition: int, offset: int) -> bool:
        """Its records come from `offset` on; False where it is gone already."""
        with self._lock:
            if partition not in self._came:
                return False
            self._came.remove(partition)
            self._next[partition] = offset
            return True

    def go(self, partitions: Iterable[int] | None = None) -> list[int]:
        """The group takes these back, or all; returns which of them were held."""
        with self._lock:
            leaving = {*self._came, *self._next} if partitions is None else set(partitions)
            self._came = [partition for partition in self._came if partition not in leaving]
            for partition in leaving:
                self._done.pop(partition, None)
            return sorted(partition for partition in leaving if self._next.pop(partition, None) is not None)

    def held(self) -> dict[int, int]:
        """Each partition that is held, and the offset of what it delivers next."""
        with self._lock:
            return self._next.copy()

    def advance(self, partition: int, offset: int) -> bool:
        """What is below `offset` was delivered; False where the partition is not held."""
        with self._lock:
            if partition not in self._next:
                return False
            self._next[partition] = offset
            return True

    def done(self, partition: int, offset: int) -> None:
        """What is below `offset` is in a kept state."""
        with self._lock:
            if partition in self._next:
                self._done[partition] = offset

    def take_done(self) -> dict[int, int]:
        """What became done since the last call, by partition."""
        with self._lock:
            done, self._done = self._done, {}
            return done
