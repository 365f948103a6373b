"""This module writes requests as bytes to be sent, and reads their answers: one form of asking a way.

Every form asks for the same rows. Ours and the floor speak the Open Inference Protocol; what else a server speaks is
beside that server's set-up, in ``peers``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from benchmarks.serving.networks import Network, Rows

HEADER_LENGTH = "inference-header-content-length"
JSON = "application/json"
BYTES = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Message:
    """A body, what it is, and the JSON's length if there are bytes behind it."""

    body: bytes
    content_type: str = JSON
    header_length: int | None = None


@dataclass(frozen=True, slots=True)
class Form:
    """One way of asking.

    Attributes:
        path: Where to, with ``{model}`` for the network's name.
        write: A request for one row ``(1, ...)``.
        read: The answer to it, ``(1, classes)``.
    """

    path: str
    write: Callable[[Network, Rows], Message]
    read: Callable[[Message], Rows]

    def request(self, network: Network, row: Rows) -> bytes:
        """A whole request, head and body, that keeps its connection alive."""
        message = self.write(network, row)
        lines = [
            f"POST {self.path.format(model=network.name)} HTTP/1.1",
            "host: 127.0.0.1",
            f"content-type: {message.content_type}",
            f"content-length: {len(message.body)}",
        ]
        if message.header_length is not None:
            lines.append(f"{HEADER_LENGTH}: {message.header_length}")
        return "\r\n".join([*lines, "", ""]).encode() + message.body


def numbers(rows: Rows) -> Any:  # noqa: ANN401  nested lists, which orjson writes from the array itself
    """Rows as nested lists of JSON, with the digits that float32 needs."""
    return orjson.Fragment(orjson.dumps(np.ascontiguousarray(rows), option=orjson.OPT_SERIALIZE_NUMPY))


def _write_json(network: Network, row: Rows) -> Message:
    tensor = _described(network, row) | {"data": numbers(row.reshape(-1))}
    return Message(orjson.dumps({"inputs": [tensor]}))


def _write_binary(network: Network, row: Rows) -> Message:
    blob = row.tobytes()
    tensor = _described(network, row) | {"parameters": {"binary_data_size": len(blob)}}
    header = orjson.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}})
    return Message(header + blob, BYTES, len(header))


def _described(network: Network, row: Rows) -> dict[str, object]:
    return {"name": network.input_name, "shape": row.shape, "datatype": "FP32"}


def _read(answer: Message) -> Rows:
    output = orjson.loads(answer.body[: answer.header_length])["outputs"][0]
    if answer.header_length is None:
        return np.array(output["data"], np.float32).reshape(output["shape"])
    return np.frombuffer(answer.body, np.float32, offset=answer.header_length).reshape(output["shape"])


V2_PATH = "/v2/models/{model}/infer"
V2_JSON = Form(V2_PATH, _write_json, _read)
V2_BINARY = Form(V2_PATH, _write_binary, _read)
V2: Mapping[str, Form] = {"json": V2_JSON, "binary": V2_BINARY}
