"""This module sends every log of the process to stderr, one line each, with the time in UTC."""

from __future__ import annotations

import logging
import logging.config
import time


def configure_logs(level: str) -> None:
    """Set up logging for the whole process; ``level`` is a name of the standard library, in any case."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"line": {"()": _utc_formatter}},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
            "root": {"level": level.upper(), "handlers": ["stderr"]},
            "loggers": {"watchfiles": {"level": "WARNING"}},
        }
    )


def _utc_formatter() -> logging.Formatter:
    formatter = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    formatter.converter = time.gmtime
    formatter.default_time_format, formatter.default_msec_format = "%Y-%m-%dT%H:%M:%S", "%s.%03dZ"
    return formatter
