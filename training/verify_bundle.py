"""This module verifies a published bundle once more, against what it was made from."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from folding.errors import one_line
from folding.folded import FoldedGraph
from folding.references import GraphReference, Reference
from folding.stored_graph import read_graph
from folding.verify import verify
from models.bundle import PARAMETERS_FILE, SOURCE_FILE, Bundle
from models.manifest import VerificationRecord
from training.errors import RecipeError
from training.import_onnx import unfolded_graph
from training.insert import normalize
from training.loading import load_network
from training.networks import build_network
from training.onnx_file import FileReference, OnnxFile
from training.references import TorchReference
from training.standardization import place_standardization
from training.tracing import ExampleInputs, read_signature


def verify_bundle(bundle: Bundle, network: str | None = None) -> VerificationRecord:
    """Rebuild what a bundle was made from out of its own files, and compare its graph with it anew.

    A recalibrated bundle whose new statistics have no place in what it was made from is compared with its own unfolded
    graph, which has them.

    Args:
        bundle: Its files are intact.
        network: What builds the network, ``package.module:factory``, where it is none of the library's; it is called
            with the manifest's arguments. A manifest may name such a factory, but no code is run because a manifest
            says so.

    Raises:
        RecipeError: If its network can't be built here.
        VerificationError: If the two disagree.
        BundleError: If a file of the bundle is damaged, or what it was made from was not published.
    """
    manifest = bundle.manifest
    sample = bundle.sample().inputs
    rows = {record.name: sample[record.name] for record in manifest.inputs}
    graph = FoldedGraph.of(bundle)
    reference: Reference
    if SOURCE_FILE in manifest.files:
        source = bundle.source()
        reference = FileReference(OnnxFile(source), unfolded_graph(source))
    elif manifest.recalibration is not None and PARAMETERS_FILE not in manifest.files:
        reference = GraphReference(read_graph(bundle.unfolded_path))
    else:
        tensors = {name: torch.from_numpy(array) for name, array in rows.items()}
        rebuilt = _rebuild(bundle, network, tensors)
        signature, _ = read_signature(rebuilt, _call(rebuilt, tensors))
        reference = TorchReference(rebuilt, signature)
    return verify(reference, graph, list(rows.values()), real=True, seed=manifest.version)


def _call(network: nn.Module, rows: Mapping[str, Tensor]) -> ExampleInputs:
    """What a network is called with: arguments by name where it has parameters of these names, by place elsewhere."""
    by_name: dict[str, Any] = {}
    for name, tensor in rows.items():
        *path, last = name.split(".")
        inner = by_name
        for key in path:
            inner = inner.setdefault(key, {})
        inner[last] = tensor
    parameters = inspect.signature(network.forward).parameters.values()
    known = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    return by_name if by_name.keys() <= known else tuple(rows.values())


def _rebuild(bundle: Bundle, network: str | None, rows: Mapping[str, Tensor]) -> nn.Module:
    described = bundle.manifest.network
    if network is None and ":" in described.name:
        raise RecipeError(
            f"network: this bundle's is {described.name}, which is not of the library; name what builds it: "
            "--network package.module:factory"
        )
    build = load_network if network else build_network
    rebuilt = build(network or described.name, described.arguments)
    normalize(rebuilt, _call(rebuilt, rows), described.normalize)
    training = bundle.manifest.training
    if training is not None and training.standardization is not None:
        place_standardization(rebuilt, training.standardization)
    state = {name: torch.from_numpy(array) for name, array in bundle.parameters().items()}
    try:
        rebuilt.load_state_dict(state)
    except RuntimeError as error:
        raise RecipeError(
            f"network {network or described.name}: parameters.npz does not fit it: {one_line(error)}"
        ) from error
    return rebuilt.eval()
