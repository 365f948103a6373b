"""This module takes anyone's network: exports it, folds it, verifies it, and publishes it as a bundle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args

from pydantic import JsonValue
from torch import Tensor, nn

from folding.folded import FoldedGraph, LayerSource, fold_graph
from folding.proof import Export, draft, prove
from folding.rows import rows_in_order
from folding.rules.sites import FUNCTION
from models.bundle import Arrays, Bundle
from models.draft import BundleDraft
from models.manifest import FoldMode, NetworkRecord
from models.normalization import Normalization
from models.store import Store
from training.errors import ExportError
from training.normalization import normalization_layers
from training.references import TorchReference
from training.tracing import ExampleInputs, Signature, named_tensors, read_signature, trace


def export(  # noqa: PLR0913  the one call for people: all but two are by name, and half have defaults
    network: nn.Module,
    example_inputs: ExampleInputs,
    *,
    store: Store | Path | str,
    name: str,
    fold: FoldMode = "fast",
    rows: ExampleInputs | None = None,
    described_as: NetworkRecord | None = None,
    allow_untrained: bool = False,
) -> Bundle:
    """Export a network in inference mode, fold its normalization layers, prove it, and publish it.

    Args:
        network: In inference mode (``network.eval()``), on the CPU; it stays as it is.
        example_inputs: What it is called with: a tensor, a tuple of arguments, or a dictionary of them; at least two
            rows in every tensor. Only their shapes and types matter, unless they are whole numbers.
        store: Where to publish.
        name: What to publish it as.
        fold: ``fast`` folds what gets faster under ONNX Runtime, ``complete`` everything that has an exact form.
        rows: Real rows, laid out like ``example_inputs``: they are verified with too, and the first become the sample.
        described_as: What the manifest says of where the network came from.
        allow_untrained: Whether normalization layers are taken whose statistics no data has updated.

    Returns:
        What was published.

    Raises:
        TrainingError, GraphError: If any of it can't be done; nothing is published then.
        StoreError: If the store can't be written to.
    """
    destination = store if isinstance(store, Store) else Store(Path(store))
    destination.versions(name)  # refuses a name that no model can have, before minutes of work
    return destination.publish(
        draft_export(
            network,
            example_inputs,
            name=name,
            fold=fold,
            rows=rows,
            described_as=described_as,
            allow_untrained=allow_untrained,
        )
    )


def draft_export(  # noqa: PLR0913  as ``export``
    network: nn.Module,
    example_inputs: ExampleInputs,
    *,
    name: str,
    fold: FoldMode = "fast",
    rows: ExampleInputs | None = None,
    described_as: NetworkRecord | None = None,
    allow_untrained: bool = False,
) -> BundleDraft:
    """What ``export`` publishes.

    Raises:
        TrainingError, GraphError: If any of it can't be done.
    """
    if fold not in get_args(FoldMode):
        raise ExportError(f"fold: expected one of {', '.join(get_args(FoldMode))}, got {fold!r}")
    exported = export_network(network, example_inputs, mode=fold, rows=rows, allow_untrained=allow_untrained)
    described = described_as or describe(network, f"{type(network).__module__}:{type(network).__qualname__}", {})
    return draft(exported, name=name, network=described, parameters=parameter_arrays(network))


def export_network(
    network: nn.Module,
    example: ExampleInputs,
    *,
    mode: FoldMode,
    rows: ExampleInputs | None = None,
    names: tuple[Sequence[str], Sequence[str]] | None = None,
    allow_untrained: bool = False,
) -> Export:
    """Export, fold and verify a network, without publishing it.

    Args:
        network: In inference mode.
        example: What it is called with.
        mode: How far to fold it.
        rows: Real rows, laid out like the example.
        names: Of inputs and outputs, where not those of the network itself.
        allow_untrained: Whether layers are taken whose statistics no data has updated.

    Raises:
        TrainingError, GraphError: If any of it can't be done.
    """
    input_names, output_names = names or (None, None)
    signature, tensors = read_signature(network, example, input_names=input_names, output_names=output_names)
    graph = fold_network(network, signature, tensors, mode=mode, allow_untrained=allow_untrained)
    real = None
    if rows is not None:
        names_here = dict(zip(named_tensors(network, example), signature.input_names, strict=True))
        found = named_tensors(network, rows)
        arrays = {names_here.get(name, name): tensor.numpy() for name, tensor in found.items()}
        real = rows_in_order(arrays, graph.inputs)
    return prove(
        graph,
        TorchReference(network, signature),
        real or [tensor.numpy() for tensor in tensors],
        real=real is not None,
    )


def fold_network(
    network: nn.Module,
    signature: Signature,
    tensors: Sequence[Tensor],
    *,
    mode: FoldMode,
    allow_untrained: bool = False,
) -> FoldedGraph:
    """Have torch make a network's graph, and fold it.

    Raises:
        ExportError: If the network is in training mode, or torch can't trace it.
        FoldingError: If a layer's figures are no statistics, or no data has updated them.
    """
    model = trace(network, signature, tensors)
    return fold_graph(model, mode=mode, sources=layer_sources(network), allow_untrained=allow_untrained)


def describe(
    network: nn.Module, name: str, arguments: dict[str, JsonValue], changes: Sequence[Normalization] = ()
) -> NetworkRecord:
    """What the manifest says of a network that a name and arguments build, and that changes of its layers made so."""
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return NetworkRecord(name=name, arguments=arguments, normalize=tuple(changes), parameters=parameters)


def parameter_arrays(network: nn.Module) -> Arrays:
    """Everything that a network keeps, by the names that it has there."""
    state = network.state_dict()
    return {key: value.detach().numpy() for key, value in state.items() if isinstance(value, Tensor)}


def layer_sources(network: nn.Module) -> Callable[[str], LayerSource]:
    """What the manifest says of a network's layers beside their figures, by their names in its graph."""
    layers = normalization_layers(network)

    def source(name: str) -> LayerSource:
        module = layers.get(name.partition("@")[0])
        if module is None:
            return LayerSource(FUNCTION, None, None)
        tracked = module.num_batches_tracked
        return LayerSource(type(module).__name__, module.momentum, None if tracked is None else int(tracked))

    return source
