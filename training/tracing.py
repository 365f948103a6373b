"""This module has torch turn a network into a graph in which every normalization layer is still one node."""

from __future__ import annotations

import contextlib
import inspect
import io
import logging
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir
import torch
from onnx_ir.passes import common as passes
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from training.errors import ExportError
from training.normalization import check_layer, normalization_layers

ExampleInputs = Tensor | tuple[Any, ...] | Mapping[str, Any]
"""What a network is called with: one tensor, positional arguments, or arguments by name; each a tensor, or tensors in
tuples, lists and dictionaries."""


@dataclass(frozen=True, slots=True, eq=False)
class Signature:
    """How a network is called with a list of tensors, and how what it gives becomes a list of tensors.

    Attributes:
        input_names: One a tensor, as clients will call them.
        output_names: One a tensor, as clients will call them.
        structure: What the tensors of a call are laid out as: positional arguments, and arguments by name.
    """

    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    structure: pytree.TreeSpec

    def call(self, network: nn.Module, tensors: Sequence[Tensor]) -> list[Tensor]:
        """What a network gives for some tensors; the tensors stay as they are, even where a network works in place."""
        return _tensors(_call_network(network, tensors, self.structure))


def read_signature(
    network: nn.Module,
    example: ExampleInputs,
    *,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
) -> tuple[Signature, tuple[Tensor, ...]]:
    """How a network is called, and the tensors of an example.

    Names that are not given are those of the network's parameters, and the keys of what it gives; ``output`` where it
    gives one tensor, ``output_0`` and so on where it gives several without names.

    Raises:
        ExportError: If the example holds anything but tensors of at least two rows, the network can't be called with
            it, gives anything but tensors, or has another number of tensors than names.
    """
    refuse_unready(network)  # before it runs, which would move the statistics of one in training mode
    tensors = named_tensors(network, example)
    leaves, structure = list(tensors.values()), pytree.tree_structure(_call(example))
    try:
        given = _call_network(network, leaves, structure)
    except Exception as error:  # whatever a network raises, this is what it means
        raise ExportError(f"network: expected to take the example: {_root_cause(error)}") from error
    _tensors(given)
    inputs = _chosen("input_names", input_names, tuple(tensors))
    own = tuple(f"{name}.output" if name in inputs else name for name in _output_names(given))
    return Signature(inputs, _chosen("output_names", output_names, own), structure), tuple(leaves)


def named_tensors(network: nn.Module, example: ExampleInputs) -> dict[str, Tensor]:
    """The tensors of an example, under the names of the network's parameters that take them.

    Raises:
        ExportError: If it holds anything but tensors of at least two rows.
    """
    call = _call(example)
    tensors: dict[str, Tensor] = {}
    for name, leaf in zip(_input_names(network, call), pytree.tree_leaves(call), strict=True):
        if not isinstance(leaf, Tensor):
            raise ExportError(f"{name}: expected a tensor, got {type(leaf).__name__}")
        if leaf.ndim == 0 or len(leaf) < 2:
            raise ExportError(f"{name}: expected at least two rows in every input, got shape {tuple(leaf.shape)}")
        if name in tensors:
            raise ExportError(f"{name}: expected every name once, got it twice")
        tensors[name] = leaf.detach()
    if not tensors:
        raise ExportError("example: expected at least one tensor, got none")
    return tensors


def trace(network: nn.Module, signature: Signature, tensors: Sequence[Tensor]) -> ir.Model:
    """Export a network in inference mode, with a batch of any size and without optimization.

    Args:
        network: In inference mode (``network.eval()``).
        signature: How it is called.
        tensors: At least two rows each: torch takes a size of one for a constant.

    Raises:
        ExportError: If the network is in training mode, a layer's figures are no statistics, or torch can't trace it.
    """
    refuse_unready(network)
    for name, module in normalization_layers(network).items():
        check_layer(name, module)
    arguments, by_name = pytree.tree_unflatten(list(tensors), signature.structure)
    taken = inspect.signature(network.forward).bind(*arguments, **by_name).arguments
    batch = {0: torch.export.Dim.DYNAMIC}
    with _quiet_exporter():
        try:
            program = torch.onnx.export(
                network,
                arguments,
                kwargs=by_name or None,
                dynamo=True,
                optimize=False,
                verbose=False,
                input_names=list(signature.input_names),
                output_names=list(signature.output_names),
                dynamic_shapes=pytree.tree_map(lambda _: batch, dict(taken)),
            )
        except Exception as error:  # torch raises dozens of kinds here, and all mean this
            cause = _root_cause(error)
            raise ExportError(f"network: expected a module that torch.export can trace: {cause}") from error
    assert program is not None
    graph = program.model.graph
    passes.OutputFixPass()(program.model)
    for value in [*graph.initializers.values(), *(output for node in graph for output in node.outputs)]:
        if value.name in (*signature.input_names, *signature.output_names):  # the exporter minds no names but its own
            value.name = f"{value.name}.inner"
    for value, name in zip(graph.outputs, signature.output_names, strict=True):
        value.name = name  # where two are one tensor, the exporter named it once
    return program.model


def refuse_unready(network: nn.Module) -> None:
    """Raise ExportError for a network of which a part is in training mode, compiled, or elsewhere than on the CPU."""
    for name, module in network.named_modules():
        if module.training:
            raise ExportError(
                f"{name or 'network'}: expected inference mode, got training mode; call network.eval() first"
            )
        if hasattr(module, "_orig_mod"):
            raise ExportError(f"{name or 'network'}: expected no compiled module; export its _orig_mod instead")
    for name, tensor in (*network.named_parameters(), *network.named_buffers()):
        if tensor.device.type != "cpu":
            raise ExportError(f"{name}: expected values on the CPU, got a tensor on {tensor.device}")


def _call_network(network: nn.Module, tensors: Sequence[Tensor], structure: pytree.TreeSpec) -> object:
    arguments, by_name = pytree.tree_unflatten([tensor.clone() for tensor in tensors], structure)
    with torch.no_grad():
        return network(*arguments, **by_name)


def _call(example: ExampleInputs) -> tuple[tuple[Any, ...], dict[str, Any]]:
    match example:
        case Tensor():
            return (example,), {}
        case Mapping():
            return (), dict(example)
        case tuple():
            return example, {}
    raise ExportError(
        f"example: expected a tensor, a tuple of arguments or a dictionary of them, got {type(example).__name__}"
    )


def _input_names(network: nn.Module, call: tuple[tuple[Any, ...], dict[str, Any]]) -> list[str]:
    parameters = [
        name
        for name, parameter in inspect.signature(network.forward).parameters.items()
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    names = []
    for path, _ in pytree.tree_flatten_with_path(call)[0]:
        which, first, *rest = (_key(part) for part in path)
        if which == "0":
            position = int(first)
            first = parameters[position] if position < len(parameters) else f"input_{position}"
        names.append(".".join((first, *rest)))
    return names


def _output_names(given: object) -> tuple[str, ...]:
    if isinstance(given, Tensor):
        return ("output",)
    paths = [".".join(_key(part) for part in path) for path, _ in pytree.tree_flatten_with_path(given)[0]]
    return tuple(f"output_{path}" if path[:1].isdigit() else path for path in paths)


def _key(part: Any) -> str:  # noqa: ANN401  one of torch's kinds of keys
    for attribute in ("idx", "key", "name"):
        if hasattr(part, attribute):
            return str(getattr(part, attribute))
    return str(part)


def _tensors(given: object) -> list[Tensor]:
    leaves = pytree.tree_leaves(given)
    for leaf in leaves:
        if not isinstance(leaf, Tensor):
            raise ExportError(f"network: expected tensors alone as outputs, got {type(leaf).__name__}")
    if not leaves:
        raise ExportError("network: expected at least one tensor as output, got none")
    return leaves


def _chosen(what: str, given: Sequence[str] | None, own: Sequence[str]) -> tuple[str, ...]:
    if given is not None and len(given) != len(own):
        raise ExportError(f"{what}: expected {len(own)} names, one a tensor, got {list(given)}")
    names = tuple(own if given is None else given)
    if len(set(names)) < len(names):
        raise ExportError(f"{what}: expected every name once, got {list(names)}")
    return names


def _root_cause(error: BaseException) -> str:
    """The first line of the error at the bottom, without the exporter's colours."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip().splitlines()
    return lines[0] if lines else type(error).__name__


@contextlib.contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Leave out the exporter's notes, and the graph that it prints where it fails; its errors are exceptions."""
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.filterwarnings("ignore", ".*LeafSpec.* is deprecated", FutureWarning)
            yield
    finally:
        logger.setLevel(level)
