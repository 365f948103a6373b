"""This package folds normalization layers into their neighbours' weights, and says of each what became of it.

It works on the graph as exported without optimization, where every normalization layer is still one node that carries
its qualified name. A rule looks at one such node and either folds it or says in one sentence why it can't; the first
rule that folds wins, and a layer that none folds stays as it is. Arithmetic is in float64, results are written back in
the graph's own type.

    sites.py        finds the nodes, reads their parameters
    affine.py       the arithmetic, without a graph
    backward.py     the rules that fold a layer into the one before it
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

import onnx_ir as ir
from onnx_ir.passes import common as passes

from models.manifest import TapRecord
from training.errors import FoldingError
from training.folding.backward import fold_backward
from training.folding.sites import Folded, Obstacle, Site, Verdict, find_sites

__all__ = ["Verdict", "fold"]

Rule = Callable[[Site], Folded | Obstacle]

RULES: Sequence[Rule] = (fold_backward,)


def fold(model: ir.Model) -> list[Verdict]:
    """Fold every normalization layer for which there is a rule; the model is changed in place.

    Returns:
        A verdict a layer, in the order in which data meets them.

    Raises:
        FoldingError: If a layer's figures are no statistics: NaN, a negative variance, a wrong number of channels.
    """
    sites = find_sites(model)
    names = [site.layer.name for site in sites]
    for name in names:
        if names.count(name) > 1:
            raise FoldingError(f"{name}: expected one use in the graph, got several")
    verdicts = [_judge(site) for site in sites]
    passes.RemoveUnusedNodesPass()(model)
    return verdicts


def _judge(site: Site) -> Verdict:
    obstacle = Obstacle("No rule looked at this layer.")
    for rule in RULES:
        match rule(site):
            case Folded(into=into, placement=placement, observed=observed):
                return Verdict(site.layer, placement, into, None, _tap(site, observed))
            case Obstacle() as obstacle:
                pass
    return Verdict(site.layer, "kept", None, obstacle.reason, _tap(site, site.output))


def _tap(site: Site, tensor: ir.Value) -> TapRecord:
    """Name the observed tensor after its layer; a graph's output keeps the name that clients know it by.

    Where another tensor has the layer's name, as an input may, the tap is ``<layer>.output``.
    """
    if not tensor.is_graph_output():
        taken = {value.name for value in (*site.graph.inputs, *site.graph.initializers.values())}
        taken |= {output.name for node in site.graph for output in node.outputs if output is not tensor}
        tensor.name = next(name for name in _tap_names(site.layer.name) if name not in taken)
    assert tensor.name is not None
    site.taps[tensor] = site.layer.name
    return TapRecord(tensor=tensor.name, side="output", channel_axis=1)


def _tap_names(layer: str) -> Iterator[str]:
    yield layer
    yield f"{layer}.output"
    yield from (f"{layer}.output.{number}" for number in itertools.count(2))
