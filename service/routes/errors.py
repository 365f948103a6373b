"""This module turns errors into answers: the one table from error to status, and the one body, ``{"error": str}``."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from service.errors import (
    ClientGone,
    Conflict,
    ControlRefused,
    DeadlineExceeded,
    EngineError,
    HistoryUnavailable,
    InvalidRequest,
    NotFound,
    NotReady,
    Overloaded,
    RequestTooLarge,
    ServiceError,
    StoreUnwritable,
    UnsupportedEncoding,
)
from service.protocol.compression import ACCEPTED_ENCODINGS

STATUS: Mapping[type[ServiceError], int] = {
    InvalidRequest: 400,
    ControlRefused: 403,
    NotFound: 404,
    Conflict: 409,
    ClientGone: 499,
    RequestTooLarge: 413,
    UnsupportedEncoding: 415,
    Overloaded: 429,
    EngineError: 500,
    NotReady: 503,
    StoreUnwritable: 503,
    HistoryUnavailable: 503,
    DeadlineExceeded: 504,
}
SHOWN_CHARACTERS = 120
"""Of a path that nothing answers, in a sentence."""

INTERNAL_ERROR = "internal error; the service's log has the details"

log = logging.getLogger(__name__)


class ErrorBody(BaseModel):
    """The body of every answer that is no success."""

    error: str


def status_of(error: ServiceError) -> int:
    """The status of an error: that of the nearest class in the table."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)


def headers_of(error: ServiceError) -> Mapping[str, str]:
    """What a client has to know besides.

    When to try again, in seconds; which encodings are read; and where the body was not read to its end, that the
    connection can't be used again.
    """
    if isinstance(error, Overloaded):
        return {"Retry-After": str(max(1, math.ceil(error.retry_after_s)))}
    if isinstance(error, UnsupportedEncoding):
        return {"Accept-Encoding": ", ".join(ACCEPTED_ENCODINGS)}
    return {"Connection": "close"} if isinstance(error, RequestTooLarge) else {}


def add_error_handlers(app: FastAPI) -> None:
    """Give every error, the framework's own included, the one body."""
    app.add_exception_handler(ServiceError, _service_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _unexpected_error)


def error_response(status: int, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """An answer that is no success."""
    return JSONResponse({"error": message}, status, headers)


def wrong_method(path: str, method: str, allowed: str) -> str:
    """The sentence on a method that a path has none of; ``allowed`` as the header ``Allow`` has them."""
    return f"{_shown(path)}: expected {' or '.join(sorted(allowed.split(', ')))}, got {method}"


def _shown(path: str) -> str:
    return path if len(path) <= SHOWN_CHARACTERS else f"{path[:SHOWN_CHARACTERS]}..."


# Starlette's handlers are typed for any exception; each is registered for the one that it asserts.
async def _service_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ServiceError)
    return error_response(status_of(error), str(error), headers_of(error))


async def _validation_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    problem = error.errors()[0]
    field = ".".join(str(part) for part in problem["loc"])
    return error_response(422, f"{field}: {problem['msg']}, got {problem.get('input')!r}")


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    path, message = request.url.path, error.detail
    if error.status_code == 404:
        message = f"path: expected one that /openapi.json lists and /docs shows, got {_shown(path)}"
    elif error.status_code == 405 and error.headers is not None:
        message = wrong_method(path, request.method, error.headers["Allow"])
    return error_response(error.status_code, message, error.headers)


async def _unexpected_error(request: Request, error: Exception) -> JSONResponse:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return error_response(500, INTERNAL_ERROR)
