"""A running agent's metrics, fetched from its endpoint on this host and read."""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from nigrani.service.errors import Problem, Usage
from nigrani.service.metrics import MetricsSettings

MAX_BYTES = 4 << 20
SECONDS = 3.0
"""To wait for an answer."""
PREFIX = "nigrani_agent_"

_SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{([^}]*)\})? (\S+)")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')

Labels = tuple[tuple[str, str], ...]


class Reading(NamedTuple):
    """All of an agent's samples at one moment."""

    at: float
    """By a clock that never goes back."""
    samples: dict[tuple[str, Labels], float]

    def value(self, name: str, **labels: str) -> float | None:
        """One sample, its name without the agent's prefix; None where there is none."""
        return self.samples.get((PREFIX + name, tuple(sorted(labels.items()))))

    def number(self, name: str, **labels: str) -> float:
        """The same; 0 where there is none."""
        return self.value(name, **labels) or 0.0

    def labelled(self, name: str, label: str) -> dict[str, float]:
        """The samples of a metric with one label, by its value."""
        return {
            labels[0][1]: value
            for (known, labels), value in self.samples.items()
            if known == PREFIX + name and len(labels) == 1 and labels[0][0] == label
        }

    def word(self, name: str, label: str) -> str:
        """The value of the label whose sample is not 0: a state, say. Empty where there is none."""
        return next((word for word, value in self.labelled(name, label).items() if value), "")

    def sources(self) -> dict[str, dict[str, float]]:
        """Source of log lines → counter → count."""
        found: dict[str, dict[str, float]] = {}
        start = f"{PREFIX}log_"
        for (name, labels), value in self.samples.items():
            if name.startswith(start) and len(labels) == 1 and labels[0][0] == "source":
                found.setdefault(labels[0][1], {})[name.removeprefix(start).removesuffix("_total")] = value
        return found


class Place(NamedTuple):
    """Where metrics are, and how to get at them."""

    url: str
    certificate: Path | None = None
    """Of the endpoint itself: it is known by it, and shown by us, where a client must show one."""
    key: Path | None = None


def place_of(settings: MetricsSettings) -> Place:
    """From this host, whatever addresses it listens on."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 - asked, not listened on
    scheme = "http" if settings.tls.certificate is None else "https"
    shown = f"[{host}]" if ":" in host else host
    return Place(f"{scheme}://{shown}:{settings.port}/metrics", settings.tls.certificate, settings.tls.key)


def fetch(place: Place, seconds: float = SECONDS) -> Reading:
    """Ask once. Raises Problem where no agent answers, Usage for an address that is none."""
    parts = urlsplit(place.url)
    try:
        port = parts.port
    except ValueError:
        port = None
    if parts.scheme not in {"http", "https"} or not parts.hostname or not port:
        raise Usage(f"{place.url} is no address of metrics, such as http://127.0.0.1:9465/metrics")
    try:
        text = _get(place, parts.hostname, port, parts.path or "/metrics", seconds)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise Problem(f"no agent answers at {place.url}: {reason}") from None
    return Reading(time.monotonic(), dict(parse(text)))


def running(settings: MetricsSettings) -> bool:
    """Whether an agent serves metrics there."""
    try:
        return fetch(place_of(settings), 1.0).value("packets_total") is not None
    except Problem:
        return False


def parse(text: str) -> Iterator[tuple[tuple[str, Labels], float]]:
    """The samples of Prometheus' text format, as `exposition` writes it; lines that are none are passed over."""
    for line in text.splitlines():
        found = None if line.startswith("#") else _SAMPLE.fullmatch(line)
        if found is None:
            continue
        try:
            value = float(found[3])
        except ValueError:
            continue
        labels = tuple(sorted((name, _plain(value)) for name, value in _LABEL.findall(found[2] or "")))
        yield (found[1], labels), value


def _plain(value: str) -> str:
    return re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], value)


def _get(place: Place, host: str, port: int, path: str, seconds: float) -> str:
    if place.url.startswith("https:") and place.certificate is None:
        raise OSError(0, "https needs metrics.tls of the agent's own configuration: name it with --config")
    asking = http.client.HTTPConnection(host, port, timeout=seconds)
    try:
        if place.url.startswith("https:") and place.certificate is not None:
            asking.sock = _secure(place.certificate, place.key, socket.create_connection((host, port), seconds))
        asking.request("GET", path)
        answer = asking.getresponse()
        text = answer.read(MAX_BYTES).decode("utf-8", "replace")
        if answer.status != http.client.OK:
            raise OSError(0, f"it answers {answer.status} {answer.reason}")
        return text
    finally:
        asking.close()


def _secure(certificate: Path, key: Path | None, plain: socket.socket) -> ssl.SSLSocket:
    """TLS with whoever has the certificate that the configuration names, and nobody else; its issuer does not matter."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        context.load_cert_chain(certificate, key, password="")  # one that asks would wait for a terminal
        text = certificate.read_text(encoding="ascii", errors="replace")
        first = text[text.index("-----BEGIN CERTIFICATE") :].partition("-----END CERTIFICATE-----")
        named = ssl.PEM_cert_to_DER_cert(first[0] + first[1])
        wrapped = context.wrap_socket(plain)
    except BaseException:
        plain.close()
        raise
    if wrapped.getpeercert(binary_form=True) != named:
        wrapped.close()
        raise OSError(0, f"it shows another certificate than {certificate}")
    return wrapped
