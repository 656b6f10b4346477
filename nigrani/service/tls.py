"""The server's side of TLS, from files that may be renewed at any time."""

from __future__ import annotations

import contextlib
import logging
import selectors
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

from nigrani.service.errors import Problem

WAITS: dict[type[OSError], int] = {ssl.SSLWantReadError: selectors.EVENT_READ, ssl.SSLWantWriteError: selectors.EVENT_WRITE}
"""What TLS says where it cannot go on at once → what it waits for."""

log = logging.getLogger(__name__)


class ServerTls:
    """Makes connections secure, by the certificate that is in the files now."""

    def __init__(self, certificate: Path, key: Path, ca: Path | None, setting: str = "metrics.tls") -> None:
        """ca: whose clients alone may come. Raises Problem where the files cannot be used."""
        self._certificate, self._key, self._ca = certificate, key, ca
        self._setting = setting
        try:
            self._stamp = self._look()
            self._context = self._load()
        except OSError as error:
            raise Problem(f"{setting}: {_reason(error)}") from None

    def context(self) -> ssl.SSLContext:
        """For a server that makes its connections itself: each handshake takes the certificate that is there by then."""
        first = self._load()
        first.sni_callback = self._exchange
        return first

    def _exchange(self, connection: ssl.SSLObject, _name: str | None, _first: ssl.SSLContext) -> None:
        self._renew()
        connection.context = self._context

    def wrap(self, plain: socket.socket) -> ssl.SSLSocket:
        """The connection with TLS, its handshake still to be made. Raises OSError or ValueError where it is gone already."""
        self._renew()
        return self._context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)

    def _renew(self) -> None:
        """Take changed files. Those that cannot be used, as half a renewal cannot, change nothing."""
        try:
            stamp = self._look()
            if stamp == self._stamp:
                return
            self._stamp = stamp
            self._context = self._load()
        except OSError as error:
            log.warning("%s: %s; the certificate from before is still used", self._setting, _reason(error))

    def _look(self) -> list[tuple[int, int, int]]:
        """What changes with the files."""
        found = []
        for path in self._paths():
            status = path.stat()
            found.append((status.st_ino, status.st_mtime_ns, status.st_size))
        return found

    def _paths(self) -> Iterator[Path]:
        yield self._certificate
        yield self._key
        if self._ca is not None:
            yield self._ca

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION
        with _told(f"{self._certificate} and {self._key} are no certificate and its key"):
            context.load_cert_chain(self._certificate, self._key, password="")  # one that asks would wait for a terminal
        if self._ca is not None:
            with _told(f"{self._ca} has no certificates"):
                context.load_verify_locations(self._ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    """The library's own words, after what is wrong."""
    try:
        yield
    except ssl.SSLError as error:
        raise OSError(f"{what} ({error.reason or error})") from None


def _reason(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename else str(error)
