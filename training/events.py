"""This module says what happens to a job: one event at a time, as lines of JSON for programs or of words for people.

An event is a name and its figures. Every line of JSON has ``time`` (ISO 8601, UTC) and ``event``; the page
``docs/jobs.md`` lists the others.
"""

from __future__ import annotations

import contextlib
import json
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TextIO

from pydantic import JsonValue

Form = Literal["bar", "lines", "json", "silent"]
"""A bar that moves, and a line of words for what it can't show; a line of words an event; of JSON; nothing at all."""

FORMS: tuple[Form, ...] = ("bar", "lines", "json")

QUIET = frozenset({"checkpoint", "failed"})
"""What only programs want to know each time, and what a sentence at the end says to people."""

Fields = dict[str, JsonValue]


def form_of(stream: TextIO) -> Form:
    """A bar where someone watches, JSON where a program collects."""
    return "bar" if stream.isatty() else "json"


@dataclass(frozen=True, slots=True)
class Events:
    """Tells events on a stream, and adds them to a file as JSON.

    Attributes:
        form: How they are written to the stream.
        stream: Where to; standard error, as it is when the event comes, if None.
        log: The file, if there is one.
    """

    form: Form
    stream: TextIO | None = None
    log: Path | None = None

    def tell(self, event: str, **fields: JsonValue) -> None:
        """Tell that something happened. Numbers that are none (NaN, infinity) are told as null."""
        fields = {name: _finite(value) for name, value in fields.items()}
        line = json.dumps({"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **fields})
        written = _WRITTEN[self.form](event, fields, line)
        if written:
            stream = self.stream or sys.stderr
            with contextlib.suppress(OSError):  # whoever read it may be gone; that ends no fit either
                stream.write(written + "\n")
                stream.flush()
        if self.log is not None:
            with contextlib.suppress(OSError), self.log.open("a") as file:  # a full disk ends no fit
                file.write(line + "\n")


def standard_events() -> Events:
    """What a process tells where nothing else was asked for: on standard error, in the form that suits it."""
    return Events(form_of(sys.stderr))


def words(event: str, fields: Fields) -> str:
    """An event in one line: ``epoch 2/40  train_loss 0.1234  learning_rate 0.005``."""
    shown = dict(fields)
    title = event
    if event in shown and f"{event}s" in shown:
        title = f"{event} {shown.pop(event)}/{shown.pop(f'{event}s')}"
    return "  ".join([title, *(f"{name} {_shown(value)}" for name, value in shown.items())])


def _bar(event: str, fields: Fields, line: str) -> str:
    return "" if event == "epoch" else _lines(event, fields, line)


def _lines(event: str, fields: Fields, line: str) -> str:
    del line
    return "" if event in QUIET else words(event, fields)


def _json(event: str, fields: Fields, line: str) -> str:
    del event, fields
    return line


def _nothing(event: str, fields: Fields, line: str) -> str:
    del event, fields, line
    return ""


_WRITTEN: dict[Form, Callable[[str, Fields, str], str]] = {
    "bar": _bar,
    "lines": _lines,
    "json": _json,
    "silent": _nothing,
}


def _finite(value: JsonValue) -> JsonValue:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _shown(value: JsonValue) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(_shown, value))
    return str(value)
