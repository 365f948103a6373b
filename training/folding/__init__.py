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

from collections.abc import Callable, Sequence

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
    names: set[str] = set()
    verdicts = []
    for site in find_sites(model):
        if site.layer.name in names:
            raise FoldingError(f"{site.layer.name}: expected one use in the graph, got several")
        names.add(site.layer.name)
        verdicts.append(_judge(site))
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
    """Name the observed tensor after its layer; a graph's output keeps the name that clients know it by."""
    if not tensor.is_graph_output():
        tensor.name = site.layer.name
    assert tensor.name is not None
    return TapRecord(tensor=tensor.name, side="output", channel_axis=1)
