"""This module makes small networks for tests, and runs networks and their graphs tensor by tensor."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from folding.folded import FoldedGraph, fold_graph
from folding.speed import open_session
from models.bundle import Bundle
from models.manifest import FoldMode
from models.store import Store
from training import job
from training.interruption import Interruption
from training.job_folder import open_job_folder
from training.kept_fit import Runs
from training.normalization import normalization_layers
from training.publishing import layer_sources
from training.recipe import Recipe, load_recipe
from training.references import NormalizationCalls
from training.tracing import read_signature, trace

INPUT, OUTPUT = "image", "logits"

TOLERANCE = 1e-5
"""Of a tensor's largest value. The networks here sum at most some 100 products of numbers around 1, and each rounds off
at most 6e-8 in float32: what is off by more was not computed by the same formula."""

Arrays = dict[str, NDArray[Any]]


class Forward(nn.Module):
    """A network whose forward pass is ``function(self, rows)`` over the parts that it is given by name."""

    def __init__(self, function: Callable[[Any, Tensor], Any], **parts: nn.Module | nn.Parameter) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, rows: Tensor) -> Any:  # noqa: ANN401  one tensor or several
        """What the function makes of the rows."""
        return self.function(self, rows)


def build(make: Callable[[], nn.Module], *, seed: int = 0) -> nn.Module:
    """A network in inference mode, its weights, normalization parameters and statistics all random."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = make()
        with torch.no_grad():
            for layer in normalization_layers(network).values():
                if layer.running_mean is not None and layer.running_var is not None:
                    layer.running_mean.normal_()
                    layer.running_var.uniform_(0.5, 2)
                if layer.affine:
                    layer.weight.normal_()
                    if getattr(layer, "positive", False):
                        layer.weight.abs_()
                if getattr(layer, "unshifted", False) and layer.running_mean is not None:
                    layer.running_mean.zero_()
                    layer.bias.zero_()
                    layer.bias.normal_()
    return network.eval()


def short_recipe(*changes: str) -> Recipe:
    """A recipe that takes a second: too short to be any good, long enough to be all there."""
    return load_recipe("digits-mlp", ["epochs=2", "arguments={widths: [32, 16]}", *changes])


def run_job(recipe: Recipe, store: Store) -> Bundle:
    """What a recipe's job publishes; its folder is gone afterwards."""
    with tempfile.TemporaryDirectory() as runs, open_job_folder(Path(runs), "silent") as folder:
        bundle = job.run(recipe, store, Runs(folder, Interruption()))
    assert bundle is not None
    return bundle


def normal_rows(*shape: int, seed: int = 1) -> Tensor:
    """Rows of independent standard normal values."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def export(
    network: nn.Module, *rows: Tensor, outputs: Sequence[str] = (OUTPUT,), mode: FoldMode = "fast"
) -> FoldedGraph:
    """The folded graph of a network with one input, or several that keep their names."""
    return fold(traced(network, *rows, outputs=outputs), network, mode)


def traced(network: nn.Module, *rows: Tensor, outputs: Sequence[str] = (OUTPUT,)) -> ir.Model:
    """The graph of a network before it is folded; torch takes most of a test's time for it."""
    inputs = [INPUT] if len(rows) == 1 else None
    example = tuple(tensor[:2] for tensor in rows)
    return trace(network, *read_signature(network, example, input_names=inputs, output_names=outputs))


def fold(graph: ir.Model, network: nn.Module, mode: FoldMode) -> FoldedGraph:
    """Fold a network's graph, which stays as it is."""
    return fold_graph(graph.clone(), mode=mode, sources=layer_sources(network), allow_untrained=True)


def run_graph(graph: FoldedGraph, *rows: Tensor) -> Arrays:
    """Every output, every tapped tensor and every input of a graph in ONNX Runtime, by the tensor's name."""
    model = onnx.load_from_string(graph.model)
    inputs = {record.name: tensor.numpy() for record, tensor in zip(graph.inputs, rows, strict=True)}
    tapped = [layer.tap.tensor for layer in graph.layers if layer.tap.tensor not in inputs]
    names = list(dict.fromkeys([o.name for o in graph.outputs] + tapped))
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names[len(graph.outputs) :])
    session = open_session(model.SerializeToString())
    return inputs | dict(zip(names, session.run(names, inputs), strict=True))


def held_by_taps(graph: FoldedGraph, *rows: Tensor) -> Arrays:
    """What the tap of every layer holds, by the layer's name, channels along axis 0."""
    found = run_graph(graph, *rows)
    held = {
        layer.name: np.moveaxis(found[layer.tap.tensor], layer.tap.channel_axis, 0).reshape(layer.channels, -1)
        for layer in graph.layers
    }
    for name, tap_map in graph.tap_maps.items():  # channels of which it tells nothing
        held[name] = np.where(tap_map.scale[:, None] == 0, 0, held[name])
    return held


def observed_layers(network: nn.Module, graph: FoldedGraph, *rows: Tensor) -> Arrays:
    """What the tap of every layer should hold: what the layer takes or gives in torch, and the tap's map of it."""
    with NormalizationCalls(network, {layer.name: layer.tap.side for layer in graph.layers}) as calls, torch.no_grad():
        network(*(tensor.clone() for tensor in rows))
    found = {name: np.moveaxis(array, 1, 0).reshape(array.shape[1], -1) for name, array in calls.observed.items()}
    for name, tap_map in graph.tap_maps.items():
        found[name] = found[name] * tap_map.scale[:, None] + tap_map.shift[:, None]
    return found


def answers(network: nn.Module, *rows: Tensor) -> NDArray[Any]:
    """The one output of a network in torch."""
    with torch.no_grad():
        output: Tensor = network(*rows)
    return output.numpy()


def parameters(network: nn.Module) -> Arrays:
    """Every parameter and statistic of a network in float64, by its qualified name."""
    return {name: tensor.double().numpy() for name, tensor in network.state_dict().items()}


def relative_error(found: NDArray[Any], expected: NDArray[Any]) -> float:
    """The largest absolute difference, in units of the largest absolute value that is expected."""
    assert found.shape == expected.shape
    largest = float(np.abs(expected.astype(np.float64)).max())
    return float(np.abs(found.astype(np.float64) - expected).max()) / (largest or 1.0)


def assert_agrees(graph: FoldedGraph, network: nn.Module, rows: Tensor, *, tap_tolerance: float = TOLERANCE) -> None:
    """Assert that a graph with one output gives what its network gives, there and at every tap."""
    held, layers = held_by_taps(graph, rows), observed_layers(network, graph, rows)
    errors = {name: relative_error(held[name], layers[name]) for name in layers}
    assert held.keys() == layers.keys()
    assert relative_error(run_graph(graph, rows)[OUTPUT], answers(network, rows)) <= TOLERANCE
    assert {name: error for name, error in errors.items() if not error <= tap_tolerance} == {}


def count_nodes(graph: FoldedGraph, kind: str) -> int:
    """How many nodes of a kind a graph has."""
    return sum(node.op_type == kind for node in onnx.load_from_string(graph.model).graph.node)


def weights(graph: FoldedGraph) -> Arrays:
    """Every constant tensor of a graph by its name."""
    initializers = onnx.load_from_string(graph.model).graph.initializer
    return {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in initializers}
