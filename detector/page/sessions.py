"""Who is logged in: sessions in memory alone, bounded in number, in idleness and in age."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from detector.page.users import User

MAX_SESSIONS = 256
"""Beyond it the one longest idle ends."""
MAX_VIEWED = 512
"""Cases that a session remembers to have noted as read."""
LOCAL = "local"
"""The name of whoever uses a page without login."""


@dataclass
class Session:
    """One browser's, and its proof that a form was ours."""

    user: User
    began: float
    seen: float
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    viewed: OrderedDict[str, float] = field(default_factory=OrderedDict)

    def first_view(self, what: str, now: float, again: float = 3600.0) -> bool:
        """Whether a read is to be noted: the first of it, and of each hour."""
        at = self.viewed.pop(what, None)
        if len(self.viewed) >= MAX_VIEWED:
            self.viewed.popitem(last=False)
        fresh = at is None or now - at >= again
        self.viewed[what] = now if fresh or at is None else at
        return fresh


class Sessions:
    """Key → session; keys are told to browsers alone."""

    def __init__(self, idle: float, longest: float, clock: Callable[[], float]) -> None:
        """idle, longest: seconds."""
        self._idle = idle
        self._longest = longest
        self._clock = clock
        self._open: OrderedDict[str, Session] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._open)

    def begin(self, user: User) -> str:
        """The key of a new session."""
        key, now = secrets.token_urlsafe(32), self._clock()
        with self._lock:
            while len(self._open) >= MAX_SESSIONS:
                self._open.popitem(last=False)
            self._open[key] = Session(user, now, now)
        return key

    def get(self, key: str, *, used: bool = True) -> Session | None:
        """The session that is alive under this key; used: whether somebody does something, and not an open page alone."""
        now = self._clock()
        with self._lock:
            session = self._open.get(key)
            if session is None:
                return None
            if now - session.seen >= self._idle or now - session.began >= self._longest:
                del self._open[key]
                return None
            if used:
                session.seen = now
                self._open.move_to_end(key)
            return session

    def end(self, key: str) -> None:
        """Log out."""
        with self._lock:
            self._open.pop(key, None)


def local_session() -> Session:
    """The one session of a page without login: whoever can reach it is on this host."""
    return Session(User(LOCAL, "reveal", ""), 0.0, 0.0)
