"""This module says what traces of requests are, and opens them where they are wanted.

Without an endpoint nothing of OpenTelemetry's SDK is imported.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Protocol
from urllib.parse import urlsplit

from starlette.types import Scope

from service.errors import TracingError
from service.inference.job import Outcome


class RequestSpan(Protocol):
    """The span of one request that is under way."""

    def finish(self, *, status: int, rows: int, version: str = "", outcome: Outcome | None = None) -> None:
        """End it.

        Args:
            status: Of the answer.
            rows: How many the request had, as far as it was read.
            version: The version that answered; empty where none did.
            outcome: Of its rows; None if they were not run.
        """


class Tracer(Protocol):
    """Makes spans."""

    def start(self, scope: Scope, *, model: str, version: str | None) -> RequestSpan:
        """Begin the span of one request; its parent is what the client says.

        Args:
            scope: Of the ASGI server.
            model: The model that was asked for.
            version: Its version; None for the default one.
        """

    def close(self) -> None:
        """Send what is left; blocks for a time that is bounded."""


def open_tracer(endpoint: str) -> Tracer | None:
    """A tracer that sends to an OTLP receiver over HTTP; None where there is no endpoint. It has to be closed.

    Args:
        endpoint: Where it listens, ``http://host:port``; spans go to its path ``/v1/traces``.

    Raises:
        TracingError: If it is no such URL, or the packages are not installed.
    """
    if not endpoint:
        return None
    address = urlsplit(endpoint)
    if address.scheme not in {"http", "https"} or not address.netloc:
        raise TracingError(f"otlp_endpoint: expected a URL as http://127.0.0.1:4318, got {endpoint!r}")
    try:
        from service.spans import OtlpTracer  # noqa: PLC0415  the SDK takes a time that most need not spend
    except ModuleNotFoundError as error:
        raise TracingError(
            f"otlp_endpoint: expected the packages of the extra `tracing` (pip install 'bnserve[tracing]'): {error}"
        ) from error
    return OtlpTracer(f"{endpoint.rstrip('/')}/v1/traces", version=version("bnserve"))
