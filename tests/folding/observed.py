"""This module observes folded networks for tests, beside what their layers take in torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from folding.folded import FoldedGraph, LayerSource, fold_graph
from folding.observing import observe
from folding.probe import make_probe
from folding.references import GraphSession
from models.atoms import Atoms
from models.manifest import FoldMode
from models.moments import Moments
from models.observed_rows import PROBE_OUTPUTS, Columns, ObservedRows
from models.stacked_moments import StackedMoments
from training.onnx_file import OnnxFile
from training.references import NormalizationCalls

MEAN_TOLERANCE = 1e-4
"""Of a live mean, in live deviations. A mean alone is no measure: where it is near 0, any error is many times its size.
The deviation is, since it is what a shift is told in."""

VARIANCE_TOLERANCE = 1e-4
"""Of a live variance, relative to itself: the ratio of variances, which is what is told, is off by as much."""


def fold_file(file: onnx.ModelProto, mode: FoldMode = "fast") -> FoldedGraph:
    """The folded graph of an imported file."""
    model = OnnxFile(file.SerializeToString()).model
    return fold_graph(model, mode=mode, sources=lambda _: LayerSource("BatchNormalization", None, None))


def columns_of(graph: FoldedGraph, atoms: Sequence[Atoms] = ()) -> Columns:
    """The columns of a graph's layers, and of its inputs that have atoms."""
    return Columns.of(graph.layers, graph.normalization, graph.tap_maps, atoms)


def probe_of(graph: FoldedGraph, *rows: Tensor, atoms: Sequence[Atoms] = ()) -> bytes:
    """The probe of a graph that has layers."""
    probe = make_probe(graph, [tensor.numpy() for tensor in rows], atoms)
    assert probe is not None
    return probe


def run_probe(graph: FoldedGraph, probe: bytes, *rows: Tensor) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Means, variances and values as the observing graph tells them, all rows at once."""
    session = GraphSession(onnx.load_from_string(graph.model + probe), [])
    found = session.run([tensor.numpy() for tensor in rows])
    means, variances, values = (found[name] for name in PROBE_OUTPUTS)
    return means, variances, values


def observed(graph: FoldedGraph, *rows: Tensor) -> ObservedRows:
    """What the probe of a graph tells of rows, in training deviations."""
    columns = columns_of(graph)
    batches = observe(graph.model, probe_of(graph, *rows), columns, [tensor.numpy() for tensor in rows])
    return columns.gather(list(batches))


def live_moments(graph: FoldedGraph, *rows: Tensor) -> dict[str, Moments]:
    """The moments of what every layer takes, by its name, as the probe tells them; NaN where it can't be observed."""
    moments = StackedMoments.of(observed(graph, *rows)).of_inputs(columns_of(graph), graph.normalization)
    return dict(zip((layer.name for layer in graph.layers), moments, strict=True))


def torch_moments(network: nn.Module, graph: FoldedGraph, *rows: Tensor) -> dict[str, Moments]:
    """The same, of what the layers take in torch."""
    with NormalizationCalls(network, {layer.name: "input" for layer in graph.layers}) as calls, torch.no_grad():
        network(*(tensor.clone() for tensor in rows))
    return {name: Moments.of(array, channel_axis=1) for name, array in calls.observed.items()}


def assert_same_moments(
    found: dict[str, Moments],
    expected: dict[str, Moments],
    *,
    mean_tolerance: float = MEAN_TOLERANCE,
    variance_tolerance: float = VARIANCE_TOLERANCE,
    unobservable: Sequence[str] = (),
) -> None:
    """Assert that moments agree in every channel, but for channels of some layers that can't be observed."""
    assert found.keys() == expected.keys()
    for name, want in expected.items():
        got, deviation = found[name], np.sqrt(want.variance)
        known = ~np.isnan(got.mean)
        assert name in unobservable or known.all(), name
        assert got.count == want.count, name
        off = np.abs(got.mean - want.mean)[known] / deviation[known]
        assert (off <= mean_tolerance).all(), f"{name}: a mean is off by {off.max():.1e} deviations"
        off = np.abs(got.variance / want.variance - 1)[known]
        assert (off <= variance_tolerance).all(), f"{name}: a variance is off by {off.max():.1e} of itself"
