"""Where the page is served, and to whom."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

from detector.page.times import time_zone

_LISTEN = re.compile(r"([0-9A-Za-z._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]):([0-9]{1,5})")
_NAME = re.compile(r"[0-9A-Za-z._-]{1,253}")


@dataclass(frozen=True)
class PageTls:
    """Encryption. A renewed certificate is taken at the next connection, a changed `ca` at the next start."""

    certificate: Path | None = None
    """PEM certificate of the page, with its chain. Setting it turns TLS on, 1.2 or later."""
    key: Path | None = None
    """PEM private key of that certificate, readable by this service alone."""
    ca: Path | None = None
    """PEM certificates of the authorities that sign browsers' certificates; with it nobody gets in without one."""

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("tls.certificate and tls.key go together")
        if self.ca is not None and self.certificate is None:
            raise ValueError("tls.ca needs tls.certificate and tls.key: only over TLS does a browser show who it is")


@dataclass(frozen=True)
class PageSettings:
    """The page of cases: what analysts read and decide on."""

    listen: str = "127.0.0.1:9466"
    """`address:port`; empty: no page. Elsewhere than on loopback with `tls` and `users`."""
    tls: PageTls = field(default_factory=PageTls)
    users: Path | None = None
    """Who may log in, as `nigrani case user` writes it. Without one, on loopback, all on this host may do all."""
    hosts: tuple[str, ...] = ()
    """Names under which browsers reach the page, beside `localhost` and plain addresses; any other name is refused."""
    webhook_token: Path | None = None
    """A file with the token that Alertmanager sends as `Authorization: Bearer`. On loopback none is needed."""
    runbooks: Path | None = None
    """A folder of the site's own runbooks, `name.md` each; they go before the shipped ones of the same name."""
    timezone: str = "Asia/Kolkata"
    """The site's time zone; the page shows its time and UTC side by side."""
    idle_minutes: int = 30
    """A session that does nothing for so long ends."""
    session_hours: int = 12
    """A session ends after so long, whatever it does."""

    def __post_init__(self) -> None:
        if faults := list(self._faults()):
            raise ValueError(*faults)

    def _faults(self) -> Iterator[str]:
        match = _LISTEN.fullmatch(self.listen)
        if self.listen and (match is None or int(match[2]) > 65_535):
            yield f"page.listen: {self.listen!r} is not address:port, such as 127.0.0.1:9466"
        elif self.listen and not self.loopback:
            if self.tls.certificate is None:
                yield f"page.listen: {self.listen} is not loopback: set page.tls"
            if self.users is None:
                yield f"page.listen: {self.listen} is not loopback: set page.users, and make one with nigrani case user"
        for name in self.hosts:
            if not _NAME.fullmatch(name):
                yield f"page.hosts: {name!r} is no host name, without scheme and port"
        if self.idle_minutes < 1 or self.session_hours < 1:
            yield "page.idle_minutes and page.session_hours must be at least 1"
        try:
            time_zone(self.timezone)
        except ValueError as error:
            yield f"page.timezone: {error}"

    @property
    def host(self) -> str:
        """The address, or a name of it."""
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """0 for any free one."""
        return int(self.listen.rpartition(":")[2])

    @property
    def loopback(self) -> bool:
        """Whether only this host can reach it."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"
