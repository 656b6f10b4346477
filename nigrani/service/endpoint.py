"""The Prometheus endpoint of a service."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, start_http_server

from nigrani.service.errors import Problem


class Endpoint:
    """A running exposition of one registry."""

    def __init__(self, registry: CollectorRegistry, listen: str) -> None:
        """listen: `address:port`, port 0 for any free one. Raises Problem where it cannot be listened on."""
        host, _, port = listen.rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65_535:
            raise Problem(f"metrics.listen {listen!r} is not address:port, such as 127.0.0.1:9464")
        try:
            self._server, self._thread = start_http_server(int(port), host.strip("[]"), registry)
        except OSError as error:
            raise Problem(
                f"cannot serve metrics on {listen}: {error.strerror or error}; free the port or set metrics.listen"
            ) from None
        self.port = self._server.server_port

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
