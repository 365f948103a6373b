"""This module answers inference requests: a plain ASGI endpoint, dispatched before the framework's own stack.

A route of the framework with a parsed body costs more time than a small network takes to run; this one reads the raw
bytes and ignores the content type, which clients of the protocol do not send reliably. It is described in the same
OpenAPI document as every other route, see ``openapi.py``.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from service.errors import InvalidRequest, ServiceError
from service.inference.registry import Registry
from service.inference.served_model import ServedModel
from service.metrics import Metrics
from service.protocol.decode import decode_request
from service.protocol.encode import encode_answer
from service.routes.body import BODY_HEADERS, Headers, pick_headers, read_body, whole_number
from service.routes.errors import INTERNAL_ERROR, error_response, headers_of, status_of

PATH = re.compile(r"/v2/models/([^/]+)(?:/versions/([^/]+))?/infer")
HEADER_LENGTH = "Inference-Header-Content-Length"
_HEADER_LENGTH = HEADER_LENGTH.lower().encode()
_HEADERS = BODY_HEADERS | {_HEADER_LENGTH}

log = logging.getLogger(__name__)


class InferenceDispatch:
    """Middleware that sends inference requests to their endpoint, and everything else on its way."""

    def __init__(self, app: ASGIApp, endpoint: InferenceEndpoint) -> None:
        self._app = app
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer an inference request, or pass on whatever else it is."""
        if scope["type"] == "http" and scope["path"].endswith("/infer"):
            path = scope["path"].removeprefix(scope.get("root_path", ""))
            if match := PATH.fullmatch(path):
                response = await self._endpoint.answer(match[1], match[2], scope, receive)
                if response is not None:
                    await response(scope, receive, send)
                return
        await self._app(scope, receive, send)


class InferenceEndpoint:
    """Bytes in, bytes out: reads a request, has its model answer, counts it."""

    def __init__(self, registry: Registry, metrics: Metrics, *, max_request_bytes: int) -> None:
        self._registry = registry
        self._metrics = metrics
        self._max_request_bytes = max_request_bytes

    async def answer(self, name: str, version: str | None, scope: Scope, receive: Receive) -> Response | None:
        """Answer one request; None where the client is gone before it has sent all of it."""
        if scope["method"] != "POST":
            return error_response(405, "Method Not Allowed", {"Allow": "POST"})
        served: ServedModel | None = None
        try:
            headers = pick_headers(scope["headers"], _HEADERS)
            served = self._registry.find(name, version)
            body = await read_body(receive, headers, limit=self._max_request_bytes)
            return None if body is None else await self._infer(served, body, headers)
        except ServiceError as error:
            response = error_response(status_of(error), str(error), headers_of(error))
        except asyncio.CancelledError:  # the server's patience on shutdown is over
            response = error_response(503, "the server is shutting down")
        except Exception:  # the client gets an answer, the log the details
            log.exception("inference with model %s version %s failed", name, version)
            response = error_response(500, INTERNAL_ERROR)
        model = ("", "") if served is None else (served.name, served.version)
        self._metrics.refused(*model, status=response.status_code)
        return response

    async def _infer(self, served: ServedModel, body: bytes, headers: Headers) -> Response:
        started = time.perf_counter()
        request = decode_request(body, header_length=_header_length(headers))
        encoded = encode_answer(await served.infer(request))
        self._metrics.answered(
            served.name,
            served.version,
            rows=len(request.inputs[0].array),
            seconds=time.perf_counter() - started,
        )
        if encoded.header_length is None:
            return Response(encoded.body, media_type="application/json")
        return Response(
            encoded.body, headers={HEADER_LENGTH: str(encoded.header_length)}, media_type="application/octet-stream"
        )


def _header_length(headers: Headers) -> int | None:
    value = headers.get(_HEADER_LENGTH)
    if value is None:
        return None
    number = whole_number(value)
    if number is None:
        raise InvalidRequest(f"{HEADER_LENGTH}: expected a whole number, got {value[:40].decode('latin-1')!r}")
    return number
