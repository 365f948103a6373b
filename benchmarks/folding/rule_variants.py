"""This module writes a graph with every normalization layer that nothing takes in whole written in another way.

What folds without a rest is folded in all of them; they differ in what stands where a layer is left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common as passes

from folding import graph
from folding.rules import values
from folding.rules.obstacle import Obstacle
from folding.rules.order import BACKWARD, BOTH_WAYS, FORWARD, ONE_SUM, PRODUCT_AND_SUM, THROUGH_RECTIFIER, Rule
from folding.rules.sites import Site, find_sites
from folding.rules.taps import Taps

KEPT = "kept"

WHOLE = (BACKWARD, FORWARD, BOTH_WAYS)
"""The rules that leave nothing."""

Write = Callable[[Site], bool]
"""Writes a layer in another way; whether it could be."""


def write_variants(model: ir.Model) -> tuple[dict[str, bytes], dict[str, int]]:
    """A traced network in every variant, and how many layers each of them writes anew.

    A layer that a variant can't write its way stays as it was.
    """
    model = model.clone()
    graph.prepare(model)
    for site in find_sites(model, Taps())[0]:
        _by_rules(WHOLE)(site)
    variants = {}
    counts = {}
    for name, write in VARIANTS.items():
        variant = model.clone()
        counts[name] = sum(map(write, find_sites(variant, Taps())[0]))
        passes.RemoveUnusedNodesPass()(variant)
        graph.clean_up(variant, [])
        variants[name] = graph.serialize(variant)
    return variants, counts


def _keep(site: Site) -> bool:
    del site
    return False


def _by_rules(rules: Sequence[Rule]) -> Write:
    def write(site: Site) -> bool:
        for rule in rules:
            try:
                rule.apply(site)
            except Obstacle:
                continue
            return True
        return False

    return write


def _convolve(site: Site) -> bool:
    """A depthwise 1x1 convolution in place of a layer of images."""
    if values.rank(site.input) != 4:
        return False
    scale, shift = site.affine.channels(1, site.layer.channels)
    kind = values.datatype(site.node).numpy()
    weight = values.add_initializer(site.node, f"{site.name}.scale", scale.reshape(-1, 1, 1, 1).astype(kind))
    bias = values.add_initializer(site.node, f"{site.name}.shift", np.asarray(shift, dtype=kind))
    node = ir.node("Conv", [site.input, weight, bias], {"group": site.layer.channels}, name=site.name)
    assert site.node.graph is not None
    site.node.graph.insert_before(site.node, node)
    values.take_over(site.output, node.outputs[0])
    site.node.graph.remove(site.node, safe=True)
    return True


def _delete(site: Site) -> bool:
    """Nothing in place of a layer: another function, and the bound of all others."""
    values.bridge(site.node)
    return True


VARIANTS: Mapping[str, Write] = {
    KEPT: _keep,
    "product and sum": _by_rules([PRODUCT_AND_SUM]),
    "one sum": _by_rules(ONE_SUM),
    "bounds": _by_rules([THROUGH_RECTIFIER]),
    "depthwise convolution": _convolve,
    "deleted": _delete,
}
"""The ways of writing a layer; those that write none in a network are not timed in it."""
