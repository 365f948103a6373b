"""This module writes a graph so that it does not hold twice what files beside it hold, and reads it back.

A large constant whose bytes are found in another file of the folder becomes *external data* of the graph, as ONNX has
it: the file's name, an offset and a length. Archives of arrays are stored uncompressed, and so are the constants of an
ONNX file, so that nothing need be known of either but its bytes. Whoever loads the graph where it lies, as
``onnx.load`` does, gets it whole; what is found nowhere stays inside.

Source: the ONNX specification, "External Data".
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import onnx

from folding.errors import GraphError, one_line

SMALLEST_BYTES = 1024
"""Smaller constants stay inside: where they are found would take as much space, or be chance."""


def store_graph(graph: bytes, beside: Mapping[str, bytes]) -> bytes:
    """An ONNX file whose large constants are read from the files beside it.

    Args:
        graph: An ONNX file with all its data inside.
        beside: By name, the files that will lie in the same folder.
    """
    model = onnx.load_from_string(graph)
    ends = dict.fromkeys(beside, 0)
    for tensor in model.graph.initializer:
        data = tensor.raw_data
        if len(data) < SMALLEST_BYTES:
            continue
        for name, content in beside.items():
            # constants mostly come in the order of the file, so each is looked for behind the last
            start = content.find(data, ends[name])
            start = start if start >= 0 else content.find(data)
            if start >= 0:
                ends[name] = start + len(data)
                onnx.external_data_helper.set_external_data(tensor, location=name, offset=start, length=len(data))
                tensor.ClearField("raw_data")
                break
    return bytes(model.SerializeToString())


def read_graph(path: Path) -> bytes:
    """A stored graph with all its data inside; the files beside it are taken as they are.

    Raises:
        GraphError: If it is no ONNX file, or data of it is missing.
    """
    try:
        return bytes(onnx.load(path).SerializeToString())
    except Exception as error:  # onnx and protobuf raise several kinds for what is no such file
        raise GraphError(f"{path.name}: expected an ONNX file with its data beside it: {one_line(error)}") from error
