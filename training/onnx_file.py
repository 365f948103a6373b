"""This module takes ONNX files that others made: reads them, runs them as they came, and makes them ready for folding.

    old opsets                       are converted to one that the folding rules and their passes are written for
    initializers among the inputs    are none, so that they are constants
    a batch of one size              becomes one of any size: batch_axis.py

The file as it came stays the reference, as many rows at a time as it takes: whatever a conversion gets wrong, or
whatever mixes rows, does not agree with it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
from numpy.typing import NDArray
from onnx import external_data_helper as external
from onnx_ir.passes import common as passes

from folding.errors import one_line
from folding.references import Arrays, GraphReference, GraphSession, Reference
from folding.rules.sites import normalizes
from models.manifest import LayerRecord
from training.batch_axis import batch_size, free_batch
from training.errors import ImportingError

MOST_BYTES = 2**31 - 1
"""What a file of protocol buffers may have, external data included, since it is embedded."""

FOLDED_OPSET = 18
"""What torch writes at least. Folding reads bounds and axes as inputs, which they once were not; so do the rules of
onnxscript, and what these write is of this opset."""

RUN_OPSET = 7
"""The oldest that ONNX Runtime promises to run."""

IR_VERSION = 10
"""At least; since version 4 initializers need not be among the inputs."""


def read_file(path: Path) -> bytes:
    """An ONNX file, with the external data in it that it keeps beside itself.

    Raises:
        ImportingError: If it is no such file, too large, or its external data is missing or outside its folder.
    """
    if not path.is_file():
        raise ImportingError(f"{path}: expected a file, there is none")
    try:
        source = path.read_bytes()
        file = parse(source)
    except (ImportingError, OSError) as error:
        raise ImportingError(f"{path}: {error}") from error
    outside = [tensor for tensor in _tensors(file.graph) if external.uses_external_data(tensor)]
    if (size := len(source) + sum(_num_bytes(path, tensor) for tensor in outside)) > MOST_BYTES:
        raise ImportingError(f"{path}: expected at most {MOST_BYTES} bytes with its external data, got {size}")
    if not outside:
        return source
    try:
        external.load_external_data_for_model(file, str(path.parent))
    except Exception as error:  # onnx raises four kinds for what is missing, too short, or not inside the folder
        raise ImportingError(f"{path}: expected its external data beside it: {one_line(error)}") from error
    return bytes(file.SerializeToString())


def parse(source: bytes) -> onnx.ModelProto:
    """The bytes of an ONNX file.

    Raises:
        ImportingError: If they are none.
    """
    try:
        file = onnx.load_model_from_string(source)
    except Exception as error:  # protobuf's own kind
        raise ImportingError("expected an ONNX file, got something else or a part of one") from error
    if not file.graph.node:
        raise ImportingError("expected an ONNX file with a graph, got one without nodes")
    return file


class OnnxFile:
    """An ONNX file made elsewhere.

    Args:
        source: Its bytes, no data of it outside.

    Raises:
        ImportingError: If it is not valid, can't be converted, or an input or a normalization layer can't be taken.
    """

    def __init__(self, source: bytes) -> None:
        file = parse(source)
        for tensor in _tensors(file.graph):
            if external.uses_external_data(tensor):
                raise ImportingError(f"{tensor.name}: expected its data in the file, it is outside")
        try:
            onnx.checker.check_model(file)
            model = ir.from_proto(file)
        except Exception as error:  # onnx and onnx-ir raise a dozen kinds for what is no valid graph
            raise ImportingError(f"expected a valid ONNX graph: {one_line(error)}") from error
        self.producer = f"{file.producer_name} {file.producer_version}".strip()
        self.opset = model.opset_imports.get("", FOLDED_OPSET)
        self.num_parameters = sum(math.prod(tensor.dims) for tensor in file.graph.initializer)
        passes.RemoveInitializersFromInputsPass()(model)
        model.ir_version = max(model.ir_version, IR_VERSION)
        self.batch_size = batch_size(model)
        self.plain = ir.to_proto(model)
        passes.InlinePass()(model)
        _refuse_training(model, self.opset)
        self.model = self._converted(model) if self.opset < FOLDED_OPSET else model
        if self.opset < RUN_OPSET:
            self.plain = ir.to_proto(self.model)
        if self.batch_size is not None:
            free_batch(self.model, self.batch_size)
        for node in ir.traversal.RecursiveGraphIterator(self.model.graph):
            node.name = node.name or node.outputs[0].name
        _check_shapes(self.model)

    def _converted(self, model: ir.Model) -> ir.Model:
        try:
            converted = ir.from_proto(onnx.version_converter.convert_version(ir.to_proto(model), FOLDED_OPSET))
        except Exception as error:  # of the converter's own kinds, and what its adapters run into
            raise ImportingError(
                f"expected opset {FOLDED_OPSET} or one that can be converted to it, got {self.opset}: {one_line(error)}"
            ) from error
        if self.opset < 11:
            _resize_as_before(converted)
        return converted


class FileReference:
    """A file under ONNX Runtime as it came; what its layers take and give is read off its unfolded graph.

    Raises:
        VerificationError: If the runtime can't load it.
    """

    def __init__(self, file: OnnxFile, unfolded: bytes) -> None:
        self.name = f"onnxruntime {onnxruntime.__version__}, the imported file, unoptimized"
        self._file = GraphSession(file.plain, [], optimize=False)
        self._outputs = [output.name for output in file.plain.graph.output]
        self._batch_size = file.batch_size
        self._unfolded = GraphReference(unfolded)

    def run(self, rows: Sequence[NDArray[Any]], layers: Sequence[LayerRecord]) -> tuple[list[NDArray[Any]], Arrays]:
        """See ``Reference``."""
        found = [self._file.run(batch) for batch in self._batches(rows)]
        outputs = [np.concatenate([batch[name] for batch in found])[: len(rows[0])] for name in self._outputs]
        return outputs, self._unfolded.run(rows, layers)[1] if layers else {}

    def exact(self) -> Reference | None:
        """See ``Reference``; ONNX Runtime has no convolution in float64."""
        return None

    def _batches(self, rows: Sequence[NDArray[Any]]) -> Iterable[Sequence[NDArray[Any]]]:
        """Batches of the file's own size, the last filled up with its last row."""
        if (size := self._batch_size) is None:
            return [rows]
        missing = -len(rows[0]) % size
        filled = [np.concatenate([array, *[array[-1:]] * missing]) for array in rows]
        return [[array[start : start + size] for array in filled] for start in range(0, len(filled[0]), size)]


def _resize_as_before(model: ir.Model) -> None:
    """Until opset 10 there was one way to place pixels; another became the default, and the converter does not say."""
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        if node.op_type == "Resize" and not node.domain:
            for name, way in (("coordinate_transformation_mode", "asymmetric"), ("nearest_mode", "floor")):
                node.attributes[name] = ir.AttrString(name, way)


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Every constant tensor of a graph, those of attributes and of graphs inside it too."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for inner in (attribute.g, *attribute.graphs):
                yield from _tensors(inner)


def _num_bytes(path: Path, tensor: onnx.TensorProto) -> int:
    try:
        itemsize = int(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)
    except KeyError as error:
        raise ImportingError(f"{path}: {tensor.name}: expected a known datatype, got {tensor.data_type}") from error
    return int(math.prod(tensor.dims)) * itemsize


def _refuse_training(model: ir.Model, opset: int) -> None:
    for node in filter(normalizes, ir.traversal.RecursiveGraphIterator(model.graph)):
        name = node.name or node.outputs[0].name
        given = [output for output in node.outputs if output.name]
        in_training = _flag(node, "training_mode") or len(given) > 1 or (opset < 7 and not _flag(node, "is_test"))
        if in_training:
            raise ImportingError(
                f"{name}: expected inference mode, got a node that normalizes by the statistics of each batch"
            )
        if "spatial" in node.attributes and not _flag(node, "spatial"):
            raise ImportingError(f"{name}: expected one mean a channel, got one for every activation (spatial=0)")


def _flag(node: ir.Node, name: str) -> bool:
    return name in node.attributes and bool(node.attributes[name].as_int())


def _check_shapes(model: ir.Model) -> None:
    try:
        onnx.checker.check_model(ir.to_proto(model), full_check=True)
    except Exception as error:  # of the checker or of shape inference
        cause = str(error).strip().splitlines()[0]  # what follows from it comes after
        raise ImportingError(f"expected shapes that agree, for any number of rows: {cause}") from error
