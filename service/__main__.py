"""This module is the command ``bnserve``: serve a store of bundles over HTTP.

Exit codes: 0 stopped by a signal, 1 it can't start (one sentence on stderr says why), 2 a setting was not understood.
"""

from __future__ import annotations

import logging
import signal
import socket
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

import uvicorn
from pydantic import ValidationError
from pydantic_settings import CliApp

from models.errors import ModelsError
from models.store import Store
from service.app import create_app
from service.errors import AddressError, ServiceError
from service.logs import configure_logs
from service.settings import Settings

log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal ends it; ``arguments`` are those of the process if none are given."""
    try:
        settings = CliApp.run(Settings, cli_args=None if arguments is None else list(arguments))
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in problem["loc"])
        print(f"bnserve: {field}: {problem['msg']}, got {problem['input']!r}", file=sys.stderr)
        return 2
    configure_logs(settings.log_level)
    # uvicorn raises a signal once more after it has stopped; being asked to stop is no failure
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    try:
        app = create_app(settings)
        models = Store(settings.store).models()
        listening = _listen(settings.host, settings.port)
    except (ServiceError, ModelsError) as error:
        print(f"bnserve: {error}", file=sys.stderr)
        return 1
    log.info("store %s: %s", settings.store.resolve(), ", ".join(models) or "no model yet")
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=settings.shutdown_timeout_s,
    )
    _print_addresses(_base_url(*listening.getsockname()[:2]), models)
    uvicorn.Server(config).run(sockets=[listening])
    return 0


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(0)


def _listen(host: str, port: int) -> socket.socket:
    """Listen from now on; connections wait until the server takes them."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise AddressError(
            f"host, port: expected an address to listen on, got {host}:{port}: {error.strerror}"
        ) from error


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
