import io
import json
import math
import os
import re
from datetime import datetime
from pathlib import Path
from typing import get_args

import pytest

from training.events import FORMS, Events, Form, form_of


class Terminal(io.StringIO):
    """What says that someone watches."""

    def isatty(self) -> bool:
        """It does."""
        return True


def test_an_event_is_a_line_of_json_with_its_moment() -> None:
    stream = io.StringIO()

    Events("json", stream).tell("epoch", epoch=1, train_loss=0.5)

    line = json.loads(stream.getvalue())
    assert datetime.fromisoformat(line.pop("time")).utcoffset() is not None
    assert line == {"event": "epoch", "epoch": 1, "train_loss": 0.5}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_none_in_json_is_null(value: float) -> None:
    stream = io.StringIO()

    Events("json", stream).tell("epoch", train_loss=value)

    assert json.loads(stream.getvalue())["train_loss"] is None


def test_an_event_is_a_line_of_words() -> None:
    stream = io.StringIO()

    Events("lines", stream).tell("epoch", epoch=2, epochs=40, train_loss=0.123456, rows=1200)

    assert stream.getvalue() == "epoch 2/40  train_loss 0.1235  rows 1200\n"


@pytest.mark.parametrize("event", ["checkpoint", "failed"])
def test_people_are_not_told_of_every_checkpoint_nor_twice_of_a_failure(event: str) -> None:
    stream = io.StringIO()

    Events("lines", stream).tell(event)

    assert stream.getvalue() == ""


def test_beside_a_bar_only_what_it_does_not_show_is_told() -> None:
    stream = io.StringIO()
    events = Events("bar", stream)

    events.tell("epoch", epoch=1, epochs=2)
    events.tell("published", version=3)

    assert stream.getvalue() == "published  version 3\n"


@pytest.mark.parametrize("form", FORMS)
def test_the_log_has_every_event_as_json_whatever_is_shown(form: Form, tmp_path: Path) -> None:
    events = Events(form, io.StringIO(), tmp_path / "log.jsonl")

    events.tell("started", step=0)
    events.tell("checkpoint", step=1)

    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["started", "checkpoint"]


def test_a_log_that_can_t_be_written_ends_nothing(tmp_path: Path) -> None:
    stream = io.StringIO()

    Events("json", stream, tmp_path / "missing" / "log.jsonl").tell("started")

    assert json.loads(stream.getvalue())["event"] == "started"


def test_a_reader_that_is_gone_ends_nothing(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)

    with os.fdopen(write, "w", buffering=1) as stream:
        Events("json", stream, tmp_path / "log.jsonl").tell("started")
        os.dup2(os.open(os.devnull, os.O_WRONLY), write)  # where what is left of the line can go

    assert json.loads((tmp_path / "log.jsonl").read_text())["event"] == "started"


def test_a_bar_is_for_terminals() -> None:
    assert (form_of(Terminal()), form_of(io.StringIO())) == ("bar", "json")


def test_every_form_is_offered_but_silence() -> None:
    assert set(FORMS) == set(get_args(Form)) - {"silent"}


def test_every_event_that_is_told_is_documented() -> None:
    root = Path(__file__).parents[2]
    sources = "".join(path.read_text() for path in (root / "training").glob("*.py"))
    (_, page) = (root / "docs" / "jobs.md").read_text().split("| event | with |")
    table = re.findall(r"^\| `([a-z-]+)` \|", page, flags=re.MULTILINE)

    told = set(re.findall(r"\btell\(\s*\"([a-z-]+)\"", sources)) | {"started", "resumed"}

    assert set(table) == told
