"""This package folds normalization layers into their neighbours' weights, and says of each what became of it.

It works on the graph as exported without optimization, where every normalization layer is still one node that carries
its qualified name. A rule looks at one such node and plans how to do without it, or meets an obstacle; the first rule
without an obstacle is carried out. Arithmetic is in float64, results are written back in the graph's own type.

    sites.py        finds the nodes, names them, reads their parameters
    affine.py       ``s x + t`` along the axes of a tensor
    passages.py     the operators that such a map passes
    weights.py      the operators that take it in; padding.py for convolutions that pad
    backward.py     up the graph           forward.py      down the graph
    clamp.py        in front of a rectifier
    remainder.py    what is left where nothing takes the whole layer in
    plan.py         changes, before they are made; obstacle.py for why there are none
    taps.py         where every layer is observed afterwards
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir
from onnx_ir.passes import common as passes

from folding.rules.obstacle import Obstacle
from folding.rules.order import Rule, rules
from folding.rules.sites import Site, Untracked, Verdict, find_sites
from folding.rules.taps import Tap, Taps
from models.manifest import FoldMode, Placement, TapRecord

__all__ = ["Folding", "Verdict", "fold"]


@dataclass(frozen=True, slots=True)
class Folding:
    """What became of the normalization layers of a graph, in the order in which data meets them."""

    verdicts: tuple[Verdict, ...]
    untracked: tuple[Untracked, ...]


def fold(model: ir.Model, *, mode: FoldMode) -> Folding:
    """Fold every normalization layer for which there is a rule; the model is changed in place.

    Args:
        model: Exported without optimization, tidied.
        mode: ``fast`` leaves a layer alone where every exact form is slower; ``complete`` leaves none.

    Raises:
        FoldingError: If a layer's figures are no statistics: NaN, a negative variance, a wrong number of channels.
    """
    taps = Taps()
    sites, untracked = find_sites(model, taps)
    outcomes = [_apply_first(rules(mode, site), site) for site in sites]
    passes.RemoveUnusedNodesPass()(model)
    taps.name_tensors(model.graph)
    verdicts = [
        _verdict(site, outcome, taps.by_layer[site.name]) for site, outcome in zip(sites, outcomes, strict=True)
    ]
    return Folding(tuple(verdicts), tuple(untracked))


@dataclass(frozen=True, slots=True)
class _Outcome:
    placement: Placement
    into: str | None
    reason: str | None


def _apply_first(candidates: list[Rule], site: Site) -> _Outcome:
    """Apply the first rule that meets no obstacle, and say what came of it."""
    obstacles: dict[str, str] = {}
    for rule in candidates:
        try:
            plan = rule.apply(site)
        except Obstacle as obstacle:
            if rule.direction:
                obstacles[rule.direction] = str(obstacle)
            continue
        into = ", ".join(plan.into)
        if rule.leaves is not None:
            why = "; ".join(f"not {direction}: {obstacle}" for direction, obstacle in obstacles.items())
            return _Outcome(rule.placement, None, f"{rule.leaves.format(into=into)}; {why}.")
        branches = rule.placement == "folded-backward" and len(plan.into) > 1
        return _Outcome("split" if branches else rule.placement, into, None)
    raise AssertionError("the last rule always applies")


def _verdict(site: Site, outcome: _Outcome, tap: Tap) -> Verdict:
    tap_map = tap.map(site.layer.channels)
    record = TapRecord(tensor=str(tap.value.name), side=tap.side, channel_axis=tap.axis, mapped=tap_map is not None)
    return Verdict(
        layer=site.layer,
        placement=outcome.placement,
        into=outcome.into,
        reason=outcome.reason,
        tap=record,
        tap_map=tap_map,
    )
