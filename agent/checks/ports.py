"""Addresses that the agent listens on: free, and with certificates that are fit, where TLS is spoken."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from functools import partial

from agent.check import Finding, Subject, Task
from agent.checks.files import authorities, identity
from agent.sources.settings import Syslog


def tasks(subject: Subject) -> Iterator[Task]:
    """One for metrics, and one for each syslog listener."""
    yield Task("metrics", partial(metrics, subject))
    for name, one in subject.config.logs.syslog.items():
        yield Task(f"syslog {name}", partial(syslog, name, one, subject))


def metrics(subject: Subject) -> Iterator[Finding]:
    """Its address, and what it shows to whom."""
    settings = subject.config.metrics
    yield from _free("metrics", settings.listen, socket.SOCK_STREAM, subject, "metrics.listen")
    if settings.tls.certificate is not None and settings.tls.key is not None:
        yield from identity("metrics", settings.tls.certificate, settings.tls.key, subject, "metrics.tls")
    if settings.tls.ca is not None:
        yield from authorities("metrics", settings.tls.ca, subject, "metrics.tls.ca")


def syslog(name: str, one: Syslog, subject: Subject) -> Iterator[Finding]:
    """Its address and its certificates."""
    about, setting = f"syslog {name}", f"logs.syslog.{name}"
    kind = socket.SOCK_DGRAM if one.transport == "udp" else socket.SOCK_STREAM
    yield from _free(about, one.listen, kind, subject, f"{setting}.listen")
    if one.transport == "tls" and one.files is not None:
        certificate, key, ca = one.files
        yield from identity(about, certificate, key, subject, setting)
        yield from authorities(about, ca, subject, f"{setting}.ca")


def _free(about: str, listen: str, kind: int, subject: Subject, setting: str) -> Iterator[Finding]:
    """Bind it, and let go at once: nobody can connect meanwhile, for nothing listens."""
    host, _, port = listen.rpartition(":")
    try:
        family, _, _, _, address = socket.getaddrinfo(host.strip("[]"), int(port), type=kind, flags=socket.AI_PASSIVE)[0]
        with socket.socket(family, kind) as trying:
            if kind == socket.SOCK_STREAM:
                trying.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trying.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE and subject.running:
            yield Finding("ok", about, f"{listen}, in use by the agent that runs")
            return
        remedy = f"free the port (ss -lp 'sport = {port}'), or set {setting}"
        yield Finding("fail", about, f"cannot listen on {listen}: {error.strerror or error}", remedy, subject.place(setting))
    else:
        yield Finding("ok", about, f"{listen} is free")
