"""This module is one of several processes that serve: a server that listens to its supervisor instead of to signals."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from multiprocessing.connection import Connection
from pathlib import Path

from starlette.types import ASGIApp

from models.errors import ModelsError
from service.app import create_app
from service.errors import ServiceError
from service.lifecycle import Lifecycle
from service.logs import configure_logs
from service.server import Server, serve
from service.settings import Settings

log = logging.getLogger(__name__)


def work(settings: Settings, listening: socket.socket, shared: Path, supervisor: Connection) -> None:
    """Serve until the supervisor says that it is time to stop, or is gone; the whole life of a worker.

    Args:
        settings: Of this worker.
        listening: Where it serves, as others do.
        shared: A folder that all workers have in common.
        supervisor: It sends the number of the signal by which it was stopped, and is sent why a worker can't start.
    """
    configure_logs(settings.log_level, settings.log_format)
    lifecycle = Lifecycle(loads_first=True)
    try:
        app = create_app(settings, shared, lifecycle=lifecycle)
    except (ServiceError, ModelsError) as error:
        supervisor.send(str(error))
        sys.exit(1)
    serve(WorkerServer(app, settings, lifecycle, supervisor), listening)


class WorkerServer(Server):
    """A server that is stopped through a pipe."""

    def __init__(self, app: ASGIApp, settings: Settings, lifecycle: Lifecycle, supervisor: Connection) -> None:
        super().__init__(app, settings, lifecycle)
        self._supervisor = supervisor

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen to the supervisor too; called by uvicorn."""
        asyncio.get_running_loop().add_reader(self._supervisor.fileno(), self._hear)
        await super().startup(sockets)

    def _hear(self) -> None:
        asyncio.get_running_loop().remove_reader(self._supervisor.fileno())
        try:
            number: int = self._supervisor.recv()
        except (EOFError, ConnectionError):
            log.error("the supervisor is gone, so this worker stops")
            number = signal.SIGINT
        if not self.started:
            os._exit(0)  # it is still loading, and nobody is connected yet
        self.handle_exit(number, None)
