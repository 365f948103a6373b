"""This module is the command ``bnserve``: serve a store of bundles over HTTP.

Exit codes: 0 stopped by a signal, 1 it can't start (one sentence on stderr says why), 2 a setting was not understood.
"""

from __future__ import annotations

import errno
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import NoReturn

from models.cpus import usable_cpus
from models.errors import ModelsError, StoreError
from models.store import Store
from service.app import create_app
from service.command_line import CommandLineError, read_settings, unknown_variables
from service.errors import AddressError, ServiceError
from service.lifecycle import Lifecycle
from service.logs import configure_logs
from service.server import STOP_SIGNALS, Server, serve
from service.settings import Settings
from service.supervisor import Supervisor

log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal ends it; ``arguments`` are those of the process if none are given."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if "--version" in arguments:
        print(f"bnserve {version('bnserve')}")
        return 0
    try:
        settings = read_settings(arguments)
    except CommandLineError as error:
        print(f"bnserve: {error}", file=sys.stderr)
        return 2
    configure_logs(settings.log_level, settings.log_format)
    for sentence in unknown_variables(os.environ):
        log.warning("%s", sentence)
    for number in STOP_SIGNALS:  # until the server listens to them
        signal.signal(number, _leave)
    try:
        if settings.workers == 1:
            _serve_alone(settings)
        else:
            Supervisor(settings, _listen(settings), cpus=usable_cpus()).run()
    except (ServiceError, ModelsError) as error:
        print(f"bnserve: {error}", file=sys.stderr)
        return 1
    for number in STOP_SIGNALS:  # Python gives up its handlers before it ends: one more signal would be a failure
        signal.signal(number, signal.SIG_IGN)
    return 0


def _serve_alone(settings: Settings) -> None:
    lifecycle = Lifecycle()
    app = create_app(settings, lifecycle=lifecycle)
    serve(Server(app, settings, lifecycle), _listen(settings))


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(0)


def _listen(settings: Settings) -> socket.socket:
    """Listen from now on, and say where; connections wait until a server takes them."""
    host, port = settings.host, settings.port
    models = _models_of(settings.store)
    try:
        listening = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        hint = "; --port takes another one, --port 0 any that is free" if error.errno == errno.EADDRINUSE else ""
        raise AddressError(
            f"host, port: expected an address to listen on, got {host}:{port}: {error.strerror}{hint}"
        ) from error
    _log_store(settings.store, models)
    _print_addresses(_base_url(*listening.getsockname()[:2]), models)
    return listening


def _models_of(path: Path) -> list[str]:
    """Names of the models in a store; none where there is no store yet.

    Raises:
        StoreError: If it is no folder, or can't be read.
    """
    if path.exists() and not path.is_dir():
        raise StoreError(f"store: expected a folder, got a file: {path}")
    return Store(path).models()


def _log_store(path: Path, models: Sequence[str]) -> None:
    """Say what is served, and warn where that is nothing: a name may be misspelt."""
    if models:
        log.info("store %s: %s", path.resolve(), ", ".join(models))
    else:
        found = "no model in it yet" if path.is_dir() else "there is no such folder yet"
        log.warning("store %s: %s; what is published there is served within seconds", path.resolve(), found)


def _base_url(host: str, port: int) -> str:
    """Where a browser on this machine finds what listens on ``host``."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  looked up, not bound
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def _print_addresses(base: str, models: Sequence[str]) -> None:
    print(f"the API, to try in a browser:    {base}/docs")
    for model in models[:1]:
        print(f"a model's normalization layers:  {base}/v2/models/{model}/normalization")
    print(f"metrics, for Prometheus:         {base}/metrics", flush=True)


if __name__ == "__main__":
    sys.exit(main())
