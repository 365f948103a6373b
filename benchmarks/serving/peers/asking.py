"""This module asks servers that do not speak the Open Inference Protocol: the same rows, as nested lists of JSON."""

from __future__ import annotations

import numpy as np
import orjson

from benchmarks.serving.forms import Form, Message, numbers
from benchmarks.serving.networks import Network, Rows

FIELD = "rows"


def _write_row(_network: Network, row: Rows) -> Message:
    """One row, without a batch dimension: the server makes the batches."""
    return Message(orjson.dumps({FIELD: numbers(row[0])}))


def _write_batch(_network: Network, row: Rows) -> Message:
    return Message(orjson.dumps({FIELD: numbers(row)}))


def _read(answer: Message) -> Rows:
    return np.array(orjson.loads(answer.body), np.float32).reshape(1, -1)


LITSERVE = Form("/predict", _write_row, _read)
BENTOML = Form("/predict", _write_batch, _read)
