"""This module measures how long our decoder takes for a large JSON request, against the parser alone on the same bytes.

The parser alone is pysimdjson's, used again and again, with ``Array.as_buffer``: numbers from text into an array, and
nothing checked. Whoever decodes a request can't be faster with it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import orjson
import simdjson

from benchmarks.serving.forms import numbers
from benchmarks.serving.rounds import Keep
from service.protocol.decode import decode_request

SHAPE = (1, 3, 224, 224)
OURS = "decode_request"
PARSER = "pysimdjson"
SETUPS = {
    OURS: "`service.protocol.decode.decode_request`",
    PARSER: "`Parser.parse` and `Array.as_buffer`, one parser for all documents",
}


def decode_case(layout: str) -> str:
    """The name of a request whose numbers are ``flat`` or ``nested``."""
    return f"decode {layout}"


def measure(keep: Keep, *, rounds: int, repeats: int) -> None:
    """Decode one row of ResNet-18, flat and nested, so many times in each round."""
    rows = np.random.default_rng(0).standard_normal(SHAPE, dtype=np.float32)
    for layout, data in (("flat", rows.reshape(-1)), ("nested", rows)):
        tensor = {"name": "image", "shape": SHAPE, "datatype": "FP32", "data": numbers(data)}
        body = orjson.dumps({"inputs": [tensor]})
        contenders: Mapping[str, Callable[[bytes], object]] = {OURS: decode_request, PARSER: _parser_alone()}
        for number in range(rounds):
            for name in list(contenders)[:: 1 if number % 2 == 0 else -1]:
                keep(decode_case(layout), name, SETUPS[name], number, {"ms": _time(contenders[name], body, repeats)})


def _time(decode: Callable[[bytes], object], body: bytes, repeats: int) -> float:
    started = time.perf_counter()
    for _ in range(repeats):
        decode(body)
    return 1e3 * (time.perf_counter() - started) / repeats


def _parser_alone() -> Callable[[bytes], object]:
    parser = simdjson.Parser()

    def decode(body: bytes) -> object:
        document: Any = parser.parse(body)
        return document["inputs"][0]["data"].as_buffer(of_type="d")

    return decode
