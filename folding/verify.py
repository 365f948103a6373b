"""This module proves that a folded graph computes the network's function: every output, and every tap, row by row.

The reference is the network in torch with its normalization layers in place, or the unfolded graph where there is no
network; the folded graph runs in ONNX Runtime with its taps as additional outputs. Both see the same rows. A bundle
whose figures are beyond the tolerance is not published.

Some networks let rounding errors grow, such as those with a channel whose variance is near 0: there torch itself is
further off its own function than any tolerance. So where a figure is beyond the tolerance, graph and network are both
compared with the network in float64, and the graph has to be about as close to that as the network is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from folding.errors import VerificationError
from folding.folded import FoldedGraph
from folding.references import GraphSession, Reference
from models.manifest import AgreementRecord, CheckRecord, VerificationRecord

OUTPUT_TOLERANCE = 1e-5
"""Largest relative error of an output. Float32 rounds by 6e-8 an operation, and a hundred layers stay below this."""

TAP_TOLERANCE = 1e-4
"""Largest relative error of a tap: of a tensor inside, whose largest value is no larger than its rounding errors'."""

HALF_TOLERANCE = 1e-2
"""The same of both where weights are float16, which rounds by 5e-4 an operation."""

RANDOM_VALUES = 2**20
"""Random rows hold about this many values in all, between 8 and 64 rows; so do the rows that they are made like."""

ROUNDINGS = 10.0
"""How many times further than the network itself the graph may be off the network in float64, where rounding errors
grow beyond the tolerances: one digit. Torch and ONNX Runtime, running one unfolded network, differ by up to 5."""

ROUNDING_CEILING = 1e-2
"""How far it may be off at most, however far the network is."""

VALUES_AT_ONCE = 2**19
"""Rows run in batches of about this many values, so that what all layers give fits into memory."""


Rows = NDArray[Any]
Role = Literal["output", "tap"]
Tensors = Mapping[tuple[Role, str], NDArray[Any]]
Compute = Callable[[Sequence[Rows]], Tensors]


def verify(
    reference: Reference, graph: FoldedGraph, example: Sequence[Rows], *, real: bool, seed: int
) -> VerificationRecord:
    """Compare a folded graph with its reference on random rows, and on real ones where there are any.

    Args:
        reference: The network, or the unfolded graph.
        graph: What came of it.
        example: One array an input, ``(rows, ...)``.
        real: Whether the example's rows are real; else they only say what random rows should look like.
        seed: Of the random rows: Gaussian with each input's own mean and deviation over the example, or drawn from
            the example's values where an input holds whole numbers.

    Raises:
        VerificationError: If a tensor is missing, not finite, or further off than the tolerance; the text names it.
    """
    generator = np.random.default_rng(seed)
    count = num_random_rows(example)
    proto = onnx.load_from_string(graph.model)
    session = _observed(graph, proto)
    output_tolerance, tap_tolerance = _tolerances(proto)
    comparison = _Comparison(
        graph,
        lambda batch: _folded_tensors(session, graph, batch),
        reference,
        {"output": output_tolerance, "tap": tap_tolerance},
    )
    checks = [comparison.check("random", [random_like(rows, count, generator) for rows in example])]
    if real:
        checks.append(comparison.check("real", example))
    return VerificationRecord(
        reference=reference.name,
        runtime=f"onnxruntime {onnxruntime.__version__} on cpu",
        tolerance=output_tolerance,
        tap_tolerance=tap_tolerance,
        checks=tuple(checks),
    )


def _tolerances(proto: onnx.ModelProto) -> tuple[float, float]:
    """The largest relative errors that are allowed of outputs and of taps, by the type that the graph computes in."""
    halves = {onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16}
    weights = {tensor.data_type for tensor in proto.graph.initializer}
    return (HALF_TOLERANCE, HALF_TOLERANCE) if weights & halves else (OUTPUT_TOLERANCE, TAP_TOLERANCE)


def num_random_rows(example: Sequence[Rows]) -> int:
    """How many random rows like an example are verified with."""
    return min(64, max(8, RANDOM_VALUES // values_a_row(example)))


def values_a_row(rows: Sequence[Rows]) -> int:
    """How many values one row has, over all inputs."""
    return max(1, sum(int(array[0].size) for array in rows))


def random_like(rows: Rows, count: int, generator: np.random.Generator) -> Rows:
    """Gaussian rows with the mean and deviation of others; drawn from their values where they are whole numbers.

    Of many others, some at even distances tell the mean and the deviation: there may be more than float64 has room for.

    Others that are all the same, or not all finite, say nothing of what rows look like: then mean 0 and deviation 1.
    """
    shape = (count, *rows.shape[1:])
    if rows.dtype.kind != "f":
        return rows.ravel()[generator.integers(rows.size, size=shape)]
    drawn, values = generator.standard_normal(shape), rows[:: max(1, rows.size // RANDOM_VALUES)].astype(np.float64)
    with np.errstate(invalid="ignore"):  # of values that are not finite
        deviation = values.std()
    if 0 < deviation < np.inf:
        drawn = drawn * deviation + values.mean()
    return drawn.astype(rows.dtype)


@dataclass(slots=True)
class _Error:
    """How far a tensor is off, over all batches so far."""

    name: str
    absolute: float = 0.0
    largest: float = 0.0

    def add(self, found: NDArray[Any], expected: NDArray[Any]) -> None:
        if found.shape != expected.shape:
            raise VerificationError(f"{self.name}: expected shape {expected.shape}, got {found.shape}")
        if not (np.isfinite(found).all() and np.isfinite(expected).all()):
            raise VerificationError(f"{self.name}: expected finite values, got NaN or infinity")
        if found.size:
            self.absolute = max(self.absolute, float(np.abs(found.astype(np.float64) - expected).max()))
            self.largest = max(self.largest, float(np.abs(expected.astype(np.float64)).max()))

    @property
    def relative(self) -> float:
        return self.absolute / self.largest if self.largest else self.absolute


Errors = Mapping[tuple[Role, str], _Error]


@dataclass(frozen=True, slots=True)
class _Comparison:
    """A folded graph beside its reference."""

    graph: FoldedGraph
    folded: Compute
    reference: Reference
    tolerances: Mapping[Role, float]

    def check(self, kind: Literal["random", "real"], rows: Sequence[Rows]) -> CheckRecord:
        """Compare every output and tap on some rows."""
        errors = _compare(self.folded, self._computed_by(self.reference), rows)
        beyond = [key for key, error in errors.items() if error.relative > self.tolerances[key[0]]]
        own, exact = self._rounding(rows) if beyond else ({}, {})
        records = {}
        for key, error in errors.items():
            told: dict[str, float | None] = {"rounding_error": None, "exact_error": None}
            if key in beyond:
                if key not in exact or exact[key].relative > min(ROUNDINGS * own[key].relative, ROUNDING_CEILING):
                    raise VerificationError(
                        f"{key[1]}: on {kind} rows the folded graph is {error.relative:.2g} off the network, relative "
                        f"to its largest value; at most {self.tolerances[key[0]]:g} is allowed"
                    )
                told = {"rounding_error": own[key].relative, "exact_error": exact[key].relative}
            records[key] = AgreementRecord(
                name=key[1], max_absolute_error=error.absolute, max_relative_error=error.relative, **told
            )
        return CheckRecord(
            rows=kind,
            num_rows=len(rows[0]),
            outputs=tuple(record for (role, _), record in records.items() if role == "output"),
            taps=tuple(record for (role, _), record in records.items() if role == "tap"),
        )

    def _rounding(self, rows: Sequence[Rows]) -> tuple[Errors, Errors]:
        """How far the reference and the folded graph are off the reference in float64; nothing where there is none."""
        in_float64 = self.reference.exact()
        if in_float64 is None:
            return {}, {}
        exact = self._computed_by(in_float64)
        try:
            return _compare(self._computed_by(self.reference), exact, rows), _compare(self.folded, exact, rows)
        except (RuntimeError, TypeError):  # a network with tensors of its own that are float32
            return {}, {}

    def _computed_by(self, reference: Reference) -> Compute:
        return lambda batch: _reference_tensors(reference, self.graph, batch)


def _compare(found: Compute, expected: Compute, rows: Sequence[Rows]) -> Errors:
    errors: dict[tuple[Role, str], _Error] = {}
    at_once = max(1, VALUES_AT_ONCE // values_a_row(rows))
    for start in range(0, len(rows[0]), at_once):
        batch = [array[start : start + at_once] for array in rows]
        reached = found(batch)
        for key, tensor in expected(batch).items():
            errors.setdefault(key, _Error(key[1])).add(reached[key], tensor)
    return errors


def _observed(graph: FoldedGraph, proto: onnx.ModelProto) -> GraphSession:
    known = {name for node in proto.graph.node for name in node.output} | {i.name for i in proto.graph.input}
    for layer in graph.layers:
        if layer.tap.tensor not in known:
            raise VerificationError(f"{layer.name}: expected a tensor {layer.tap.tensor!r} in the graph, got none")
    return GraphSession(proto, [layer.tap.tensor for layer in graph.layers])


def _folded_tensors(session: GraphSession, graph: FoldedGraph, batch: Sequence[Rows]) -> Tensors:
    found = session.run(batch)
    tensors: dict[tuple[Role, str], NDArray[Any]] = {("output", r.name): found[r.name] for r in graph.outputs}
    for layer in graph.layers:
        channels = _by_channel(found[layer.tap.tensor], layer.tap.channel_axis)
        if (tap_map := graph.tap_maps.get(layer.name)) is not None:
            channels = np.where(tap_map.scale[:, None] == 0, 0.0, channels)  # it tells nothing of these
        tensors["tap", layer.name] = channels
    return tensors


def _reference_tensors(reference: Reference, graph: FoldedGraph, batch: Sequence[Rows]) -> Tensors:
    """What a folded graph's outputs and taps should be; the channels of a layer lie along axis 1."""
    outputs, layers = reference.run(batch, graph.layers)
    tensors: dict[tuple[Role, str], NDArray[Any]] = {
        ("output", record.name): array for record, array in zip(graph.outputs, outputs, strict=True)
    }
    for layer in graph.layers:
        channels = _by_channel(layers[layer.name], 1)
        if (tap_map := graph.tap_maps.get(layer.name)) is not None:
            channels = channels * tap_map.scale[:, None] + tap_map.shift[:, None]
        tensors["tap", layer.name] = channels
    return tensors


def _by_channel(array: NDArray[Any], axis: int) -> NDArray[Any]:
    channels = np.moveaxis(array, axis, 0)
    return channels.reshape(len(channels), -1)
