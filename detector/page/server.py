"""The page in a thread of the detector: whatever becomes of it, scoring goes on."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

import uvicorn

from detector.page.app import make_app
from detector.page.listener import MAX_CONNECTIONS, Listener
from nigrani.service.errors import Problem

if TYPE_CHECKING:
    from detector.page.desk import Desk
    from detector.page.metrics import Tally
    from detector.page.settings import PageSettings

AGAIN = 10.0
"""Seconds until a place that is taken is tried again."""
GOODBYE = 3
"""Seconds for answers that are under way when the service ends."""
MAX_HEADERS = 16 * 1024

log = logging.getLogger(__name__)


class PageServer:
    """Serves from a thread of its own, as soon as the address is free and users and certificate can be read."""

    def __init__(self, settings: PageSettings, make_desk: Callable[[], Desk]) -> None:
        """make_desk: called at each try; what it raises as Problem is told, and tried again."""
        self.url = ""
        """Where it is served; empty while it is not."""
        self.trouble = ""
        self.tally: Tally = Counter()
        self._settings = settings
        self._make_desk = make_desk
        self._server: _Server | None = None
        self._ending = threading.Event()
        self._tried = threading.Event()
        self._thread = threading.Thread(target=self._run, name="page", daemon=True)
        self._thread.start()
        self._tried.wait(5)

    def close(self) -> None:
        """Let answers under way go out, and end."""
        self._ending.set()
        if self._server is not None:
            self._server.should_exit = True
        self._thread.join(GOODBYE + 2)

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                self._serve()
            except Problem as problem:
                trouble = str(problem).replace("\n", "; ")
                if trouble != self.trouble:
                    text = "no page: %s; tried again every %g s, and detection goes on"
                    log.error(text, trouble, AGAIN)  # noqa: TRY400 - one line says it
                self.trouble = trouble
            except Exception:  # the thread's outer loop
                log.exception("the page ended; it is begun again in %g s", AGAIN)
            self.url = ""
            self._tried.set()
            self._ending.wait(AGAIN)

    def _serve(self) -> None:
        settings = self._settings
        desk = self._make_desk()
        desk.tally = self.tally
        config = _config(desk)
        listener = Listener(settings.host, settings.port, self.tally)
        scheme = "http" if settings.tls.certificate is None else "https"
        self.url = f"{scheme}://{settings.listen.rpartition(':')[0]}:{listener.getsockname()[1]}/"
        if self.trouble:
            log.warning("the page is served again: %s", self.url)
            self.trouble = ""
        self._server = _Server(config, listener)
        if self._ending.is_set():
            self._server.should_exit = True
        self._server.ready = self._tried
        self._server.run([listener])


class _Server(uvicorn.Server):
    """One that looks after its connections while it waits."""

    def __init__(self, config: uvicorn.Config, listener: Listener) -> None:
        super().__init__(config)
        self.ready: threading.Event | None = None
        self._listener = listener

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second."""
        if self.ready is not None:
            self.ready.set()
        self._listener.sweep()
        return await super().on_tick(counter)


def _config(desk: Desk) -> uvicorn.Config:
    config = uvicorn.Config(
        make_app(desk),
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level=logging.WARNING,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=MAX_CONNECTIONS,
        timeout_keep_alive=10,
        timeout_graceful_shutdown=GOODBYE,
        h11_max_incomplete_event_size=MAX_HEADERS,
    )
    config.load()
    tls = desk.settings.tls
    if tls.certificate is not None and tls.key is not None:
        from nigrani.service.tls import ServerTls  # noqa: PLC0415 - only where there is TLS

        config.ssl = ServerTls(tls.certificate, tls.key, tls.ca, "page.tls").context()
    return config
