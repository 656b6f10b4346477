"""Where metrics are served, and to whom: the settings of `endpoint`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

_LISTEN = re.compile(r"([0-9A-Za-z._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]):([0-9]{1,5})")


@dataclass(frozen=True)
class MetricsTls:
    """Encryption, and who may read. Renewed files are taken at the next connection."""

    certificate: Path | None = None
    """PEM certificate of this service, with its chain. Setting it turns TLS on, 1.2 or later."""
    key: Path | None = None
    """PEM private key of that certificate, readable by this service alone."""
    ca: Path | None = None
    """PEM certificates of the authorities that sign clients' certificates; without one of those nobody may read."""

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("tls.certificate and tls.key go together")
        if self.ca is not None and self.certificate is None:
            raise ValueError("tls.ca needs tls.certificate and tls.key: only over TLS does a client show who it is")


@dataclass(frozen=True)
class MetricsSettings:
    """The Prometheus endpoint."""

    listen: str
    """`address:port`. Elsewhere than on loopback with `tls`, its `ca` included."""
    tls: MetricsTls = field(default_factory=MetricsTls)
    unprotected: bool = False
    """Elsewhere than on loopback, also without TLS or without `tls.ca`: whoever gets there may read, and listen in."""

    def __post_init__(self) -> None:
        if faults := list(self._faults()):
            raise ValueError(*faults)

    def _faults(self) -> Iterator[str]:
        match = _LISTEN.fullmatch(self.listen)
        if match is None or int(match[2]) > 65_535:
            yield f"metrics.listen: {self.listen!r} is not address:port, such as 127.0.0.1:9464"
        elif not (self.unprotected or self.tls.ca or _is_loopback(self.host)):
            missing = "metrics.tls.ca" if self.tls.certificate else "metrics.tls"
            yield f"metrics.listen: {self.listen} is not loopback: set {missing}, or metrics.unprotected: true"

    @property
    def host(self) -> str:
        """The address, or a name of it."""
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """0 for any free one."""
        return int(self.listen.rpartition(":")[2])


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
