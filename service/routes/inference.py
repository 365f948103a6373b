"""This module answers inference requests: a plain ASGI endpoint, dispatched before the framework.

A route of the framework with a parsed body costs more time than a small network takes to run; this one reads the raw
bytes and ignores the content type, which clients of the protocol do not send reliably. It is described in the same
OpenAPI document as every other route, see ``openapi.py``.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.types import Receive, Scope, Send

from service.errors import DeadlineExceeded, Overloaded, ServiceError
from service.inference.registry import Registry
from service.logs import Answered, begin_request, log_request
from service.metrics import Metrics
from service.normalization.reservoirs import Reservoirs
from service.protocol.compression import choose_encoding, compress
from service.protocol.decode import decode_request
from service.protocol.encode import encode_answer
from service.protocol.messages import InferenceRequest
from service.protocol.raw import decode_raw
from service.routes.aside import aside
from service.routes.body import BODY_HEADERS, HeldBytes, pick_headers, read_body
from service.routes.errors import INTERNAL_ERROR, error_response, headers_of, status_of, wrong_method
from service.routes.exchange import Exchange, Reply
from service.routes.json_part import HEADER_LENGTH, decode_json_part, header_length
from service.routes.request_ids import REQUEST_ID
from service.tracing import Tracer

_ACCEPT = b"accept-encoding"
_ENCODING = b"content-encoding"
_HEADERS = BODY_HEADERS | {HEADER_LENGTH, REQUEST_ID, _ACCEPT, b"traceparent", b"tracestate"}

COMPRESSED_BYTES = 1024
"""Answers of fewer bytes are not worth compressing: they fit into one packet as they are."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """What one request may be.

    Attributes:
        max_bytes: Most bytes of its body, before and after decompression.
        max_json_bytes: Most of them that are JSON.
        timeout_s: When it is given up, if it asks for nothing less; None for never.
        overloaded_status: What it is answered with where too much waits.
        compresses: Whether its answer is compressed where it accepts that.
        logs: Whether a line is logged about it.
    """

    max_bytes: int
    max_json_bytes: int
    timeout_s: float | None
    overloaded_status: int
    compresses: bool
    logs: bool


class InferenceEndpoint:
    """Bytes in, bytes out: reads a request, has its model answer, counts it.

    Args:
        registry: Finds the model.
        metrics: Counts.
        limits: Of every request.
        held: Counts the bytes of all requests.
        tracer: Makes spans; None for none.
        reservoirs: Keep some of the rows that were answered; None for none.
    """

    def __init__(
        self,
        registry: Registry,
        metrics: Metrics,
        limits: RequestLimits,
        *,
        held: HeldBytes,
        tracer: Tracer | None,
        reservoirs: Reservoirs | None = None,
    ) -> None:
        self._registry = registry
        self._metrics = metrics
        self._limits = limits
        self._held = held
        self._tracer = tracer
        self._reservoirs = reservoirs

    async def answer(self, name: str, version: str | None, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = pick_headers(scope["headers"], _HEADERS)
        identity = begin_request(headers.get(REQUEST_ID, b""))
        exchange = Exchange(headers, receive, time.perf_counter(), self._held, identity)
        span = self._tracer.start(scope, model=name, version=version) if self._tracer is not None else None
        try:
            reply = await self._reply(exchange, scope, name, version)
            await reply.send(send)
            await self._keep_rows(exchange)
        finally:
            exchange.let_go()
        seconds = time.perf_counter() - exchange.started
        self._count(exchange, reply.status, seconds)
        outcome = exchange.outcome
        answered_by = "" if exchange.served is None else exchange.served.version
        if self._limits.logs:
            queued_s = 0.0 if outcome is None else outcome.queue_s
            log_request(Answered(name, answered_by, reply.status, exchange.rows, seconds, queued_s, reply.reason))
        if span is not None:
            span.finish(status=reply.status, rows=exchange.rows, version=answered_by, outcome=outcome)

    async def _reply(self, exchange: Exchange, scope: Scope, name: str, version: str | None) -> Reply:
        """The answer, whatever happens."""
        if scope["method"] != "POST":
            return _failed(exchange, 405, wrong_method(scope["path"], scope["method"], "POST"), {"Allow": "POST"})
        try:
            with self._registry.hold(name, version) as exchange.served:
                return await self._infer(exchange)
        except ServiceError as error:
            status = self._limits.overloaded_status if isinstance(error, Overloaded) else status_of(error)
            return _failed(exchange, status, str(error), headers_of(error))
        except asyncio.CancelledError:  # the server's patience on shutdown is over
            return _failed(exchange, 503, "the server is shutting down")
        except Exception:  # the client gets an answer, the log the details
            log.exception("inference with model %s version %s failed", name, version)
            return _failed(exchange, 500, INTERNAL_ERROR)

    async def _infer(self, exchange: Exchange) -> Reply:
        served, timeout_s = exchange.served, self._limits.timeout_s
        assert served is not None, "it was found"
        request = await self._request(exchange)
        if request.timeout_us is not None:
            timeout_s = min(timeout_s or float("inf"), request.timeout_us / 1e6)
        job = served.submit(request, deadline=None if timeout_s is None else exchange.started + timeout_s)
        exchange.job, exchange.rows = job, job.rows
        try:
            exchange.outcome = await served.outcome(job, exchange.gone)
        except DeadlineExceeded as error:
            raise _too_late(request.timeout_us, self._limits.timeout_s) from error
        encoded = encode_answer(served.answer(request, job, exchange.outcome))
        if encoded.header_length is None:
            headers = [(b"content-type", b"application/json")]
        else:
            headers = [
                (b"content-type", b"application/octet-stream"),
                (HEADER_LENGTH, b"%d" % encoded.header_length),
            ]
        body = encoded.body
        if _ACCEPT in exchange.headers and len(body) >= COMPRESSED_BYTES and self._limits.compresses:
            encoding = choose_encoding(exchange.headers[_ACCEPT].decode("latin-1"))
            if encoding is not None:
                body = await aside(compress, body, encoding, size=len(body))
                headers.append((_ENCODING, encoding.encode()))
        headers += [(b"content-length", b"%d" % len(body)), (REQUEST_ID, exchange.request_id.encode())]
        return Reply(200, headers, body)

    async def _request(self, exchange: Exchange) -> InferenceRequest:
        """Read and decode the body."""
        limits, headers, served = self._limits, exchange.headers, exchange.served
        assert served is not None, "it was found"
        body = await read_body(
            exchange.receive, headers, limit=limits.max_bytes, timeout_s=limits.timeout_s, hold=exchange.hold
        )
        served.expect_room()  # before any work that would be for nothing
        length = header_length(headers)
        if length == 0:
            return decode_raw(body, served.manifest.inputs)
        return await decode_json_part(decode_request, body, length, limit=limits.max_json_bytes)

    async def _keep_rows(self, exchange: Exchange) -> None:
        """Keep some of the rows, if they were answered; the client has its answer already."""
        if self._reservoirs is None or exchange.outcome is None:
            return
        assert exchange.job is not None, "it has an outcome"
        assert exchange.served is not None, "it has a job"
        inputs = exchange.job.inputs
        size = sum(array.nbytes for array in inputs.values())
        await aside(self._reservoirs.of(exchange.served).keep, inputs, size=size)

    def _count(self, exchange: Exchange, status: int, seconds: float) -> None:
        served, outcome = exchange.served, exchange.outcome
        observer = self._metrics.unknown() if served is None else served.observer
        if status == 200 and outcome is not None:
            observer.answered(rows=exchange.rows, seconds=seconds, outcome=outcome)
        else:
            observer.refused(status=status, seconds=seconds)


def _failed(exchange: Exchange, status: int, message: str, headers: Mapping[str, str] | None = None) -> Reply:
    response = error_response(status, message, headers)
    raw_headers = [*response.raw_headers, (REQUEST_ID, exchange.request_id.encode())]
    return Reply(status, raw_headers, bytes(response.body), reason=message)


def _too_late(timeout_us: int | None, timeout_s: float | None) -> DeadlineExceeded:
    """The error that names the shorter of the times that the request and the server give it."""
    if timeout_us is not None and (timeout_s is None or timeout_us < timeout_s * 1e6):
        return DeadlineExceeded(f"parameters.timeout: expected an answer within {timeout_us} us, got none yet")
    assert timeout_s is not None, "without a time there is no end of it"
    return DeadlineExceeded(f"request_timeout_ms: expected an answer within {timeout_s * 1e3:g} ms, got none yet")
