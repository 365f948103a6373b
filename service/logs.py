"""This module sends every log of the process to stderr: as lines for people, or as one JSON object a line.

Times are in UTC. Whatever is logged while a request is answered carries the id of the request, and fields that are
passed with ``extra={...}`` come along.
"""

from __future__ import annotations

import itertools
import json
import logging
import logging.config
import re
import secrets
import time
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Final, NamedTuple

request_id: Final = ContextVar("request_id", default="")
"""The id of the request that is answered; empty outside of one."""

access: Final = logging.getLogger("service.access")

_PROCESS: Final = secrets.token_hex(4)
_NUMBERS: Final = itertools.count(1)  # of the process, as its logs are
_VISIBLE: Final = re.compile(rb"[!-~]{1,128}")
_NOT_EXTRA: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
_CONTROL: Final = {number: f"\\x{number:02x}" for number in (*range(32), 127)} | {10: "\\n", 13: "\\r", 9: "\\t"}


def configure_logs(level: str, style: str = "text") -> None:
    """Set up logging for the whole process.

    Args:
        level: A name of the standard library, in any case.
        style: ``text`` or ``json``.
    """
    formatter = {"text": TextFormatter, "json": JsonFormatter}[style]
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"line": {"()": formatter}},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
            "root": {"level": level.upper(), "handlers": ["stderr"]},
            "loggers": {"alembic": {"level": "WARNING"}, "watchfiles": {"level": "WARNING"}},
        }
    )


def new_request_id() -> str:
    """An id for a request that brought none: random by process, then counted."""
    return f"{_PROCESS}-{next(_NUMBERS)}"


def accept_request_id(header: bytes) -> str | None:
    """A client's ``X-Request-Id`` if it may be taken over: 1 to 128 visible ASCII characters, no blank; else None."""
    return header.decode("ascii") if _VISIBLE.fullmatch(header) else None


def begin_request(header: bytes) -> str:
    """Have all that is logged from now on in this task carry an id: the client's if it may be taken over, or a new one.

    Args:
        header: Its ``X-Request-Id``; empty if it sent none.
    """
    identity = accept_request_id(header) or new_request_id()
    request_id.set(identity)
    return identity


class Answered(NamedTuple):
    """What is logged about an inference request that was answered.

    Attributes:
        model: Name of the model that was asked for.
        version: Its version; empty where none was found.
        status: Of the answer.
        rows: How many were answered.
        seconds: From the head of the request to the end of its answer.
        queue_seconds: How much of that its rows waited for their run.
        reason: Why it is no success, as its client was told; empty if it is one.
    """

    model: str
    version: str
    status: int
    rows: int
    seconds: float
    queue_seconds: float
    reason: str = ""


def log_request(answered: Answered) -> None:
    """Log that an inference request was answered."""
    fields = answered._asdict() | {
        "seconds": round(answered.seconds, 6),
        "queue_seconds": round(answered.queue_seconds, 6),
    }
    if not answered.reason:
        del fields["reason"]
    access.info("inference", extra=fields)


class _UtcFormatter(logging.Formatter):
    converter = staticmethod(time.gmtime)
    default_time_format, default_msec_format = "%Y-%m-%dT%H:%M:%S", "%s.%03dZ"


class TextFormatter(_UtcFormatter):
    """Time, level, logger, message and ``key=value`` of all else on one line; a traceback on lines of its own."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  the standard library's name
        """The line, without control characters: what a client sent must not look like a line of its own."""
        line = super().formatMessage(record).translate(_CONTROL)
        return " ".join([line, *(f"{key}={_shown(value)}" for key, value in _details(record).items())])


class JsonFormatter(_UtcFormatter):
    """One JSON object a line; the names of the standard fields are never those of an extra one."""

    def format(self, record: logging.LogRecord) -> str:
        """The object, with the traceback as a string in ``exception``."""
        fields: dict[str, object] = {
            "time": self.formatTime(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        fields = {**fields, **_details(record), **fields}
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields, default=str)


def _details(record: logging.LogRecord) -> Mapping[str, object]:
    """The fields that only this record has, and the request's id."""
    extra = {key: value for key, value in vars(record).items() if key not in _NOT_EXTRA}
    return {**extra, "request_id": request_id.get()} if request_id.get() else extra


def _shown(value: object) -> str:
    """A value such that it ends at the next blank, or at its closing quote."""
    text = str(value)
    return text if re.fullmatch(r"[!#-~]+", text) else json.dumps(text)
