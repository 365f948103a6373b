"""This module is uvicorn's server with an end in order: not ready, then no new connections, then gone.

SIGTERM           not ready at once; goes on answering for ``shutdown_delay_s``, while load balancers look away;
                  then takes no new connection, and answers what is under way for at most ``shutdown_timeout_s``
SIGINT (Ctrl-C)   the same without the delay
a second signal   the end at once
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from service.lifecycle import Lifecycle
from service.settings import Settings

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
SAME_S = 0.1
"""Signals so soon after one another are one: timeout(1) and terminals signal a process, and then its group."""

EXIT_S = 2.0
"""How long the process may take to end once the server has."""


class Server(uvicorn.Server):
    """Serves one app, and tells its lifecycle when it was told to stop."""

    def __init__(self, app: ASGIApp, settings: Settings, lifecycle: Lifecycle) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                server_header=False,
                ws="none",
                timeout_graceful_shutdown=settings.shutdown_timeout_s,
            )
        )
        self._lifecycle = lifecycle
        self._delay_s = settings.shutdown_delay_s
        self._asked_at = self._leave_at = 0.0

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002  as uvicorn calls it
        """Begin the end; asked again, end. Called by a signal."""
        now = time.monotonic()
        if not self._lifecycle.stopping:
            self._lifecycle.stopping = True
            self._asked_at, self._leave_at = now, now + (self._delay_s if sig == signal.SIGTERM else 0.0)
        elif now - self._asked_at > SAME_S:
            os._exit(0)  # nothing is ever written in such a way that it could be left half done

    async def on_tick(self, counter: int) -> bool:
        """Whether it is time to take no new connection; called by uvicorn every 0.1 s."""
        if self._lifecycle.stopping and time.monotonic() >= self._leave_at:
            self.should_exit = True
        return await super().on_tick(counter)


def serve(server: Server, listening: socket.socket) -> None:
    """Serve until the server is told to stop; the process has to end after it, and is ended if it does not."""
    server.run(sockets=[listening])
    # the interpreter waits for its threads, and the run of a model can't be interrupted
    guard = threading.Timer(EXIT_S, os._exit, (0,))
    guard.daemon = True
    guard.start()
