"""This module turns a layer in front of a rectifier into bounds, channel by channel.

A rectifier bounds its input, ``clip(y, l, u)`` with ``l = 0`` and, for ReLU6, ``u = 6``. With ``y = s x + t``,

    clip(s x + t, l, u)  =  s z + t        z = clip(x, (l - t) / s, (u - t) / s)        the bounds swapped where s < 0

so that nothing is left of the layer but the bounds of ``z``, whatever the signs of ``s``, if what follows takes in
``s z + t``. Where it takes in a scale alone, as a convolution that pads with zeros, the shift stays in front:

    clip(s x + t, l, u)  =  s z            z = clip(x + t / s, l / s, u / s)

A channel whose ``s`` is 0 is constant: the first form gives it the scale 0 and the shift ``clip(t, l, u)``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from folding.rules import values
from folding.rules.affine import Affine
from folding.rules.forward import push_down
from folding.rules.obstacle import Obstacle
from folding.rules.plan import Plan
from folding.rules.sites import Site
from models.moments import Array

NO_SCALE = 1e-30
"""Scales below this are taken for 0: what they leave of any float32 tells nothing."""


@dataclass(frozen=True, slots=True)
class Rectifier:
    """The one node behind a layer, and the bounds within which it keeps every value."""

    node: ir.Node
    bounds: tuple[float, float]

    @property
    def output(self) -> ir.Value:
        """The rectified tensor."""
        return self.node.outputs[0]


def rectifier_behind(value: ir.Value) -> Rectifier:
    """The rectifier that alone reads a tensor.

    Raises:
        Obstacle: If something else does.
    """
    match values.only_consumer(value):
        case (ir.Node(op_type="Relu", domain="") as node, 0):
            return Rectifier(node, (0.0, np.inf))
        case (ir.Node(op_type="Clip", domain="") as node, 0):
            return Rectifier(node, (_constant_bound(node, 1, -np.inf), _constant_bound(node, 2, np.inf)))
    raise Obstacle("no rectifier alone is behind it")


def _constant_bound(node: ir.Node, index: int, default: float) -> float:
    if len(node.inputs) <= index or node.inputs[index] is None:
        return default
    bound = values.constant(node.inputs[index])
    if bound is None or bound.size != 1:
        raise Obstacle(f"the bounds of {values.describe(node.outputs[0])} are computed")
    return float(bound.item())


def bound_input(plan: Plan, site: Site) -> None:
    """Plan ``clip(s x + t, l, u) = s z + t``: bounds of ``x`` in place of the rectifier, and a map that goes down.

    Raises:
        Obstacle: If no rectifier is behind the layer, or what is behind the rectifier can't take in the map.
    """
    rectifier = rectifier_behind(site.output)
    scale, shift = np.broadcast_arrays(site.affine.scale, site.affine.shift)
    constant = np.abs(scale) < NO_SCALE
    push_down(
        plan,
        rectifier.output,
        Affine(np.where(constant, 0.0, scale), np.where(constant, np.clip(shift, *rectifier.bounds), shift)),
    )
    safe = np.where(constant, 1.0, scale)
    _bound(plan, site, rectifier, safe, *((bound - shift) / safe for bound in rectifier.bounds))


def bound_shifted_input(plan: Plan, site: Site) -> None:
    """Plan ``clip(s x + t, l, u) = s z``: the sum ``x + t / s``, its bounds, and a scale that goes down.

    Raises:
        Obstacle: If a scale is 0, no rectifier is behind the layer, or what is behind it can't take in a scale.
    """
    rectifier = rectifier_behind(site.output)
    scale, _ = np.broadcast_arrays(site.affine.scale, site.affine.shift)
    push_down(plan, rectifier.output, site.affine.only_scale())
    if rectifier.bounds != (0.0, np.inf) or (scale <= 0).any():
        _refuse_vanishing(scale)
        _bound(plan, site, rectifier, scale, *(bound / scale for bound in rectifier.bounds))
    shift_before_scale(plan, site)


def shift_before_scale(plan: Plan, site: Site) -> None:
    """Plan the sum ``x + t / s`` that is left of ``s x + t`` where ``s`` alone goes down.

    Raises:
        Obstacle: If a scale is 0.
    """
    affine = site.affine
    _refuse_vanishing(affine.scale)
    if affine.shift.any():
        plan.insert(site.output, "Add", affine.shift / affine.scale, name=site.name)


def _refuse_vanishing(scale: Array) -> None:
    if (np.abs(scale) < NO_SCALE).any():
        raise Obstacle("a shift can't move in front of a scale of 0")


def _bound(plan: Plan, site: Site, rectifier: Rectifier, scale: Array, *bounds: Array) -> None:
    """Keep each channel within its bounds, which a negative scale swaps, instead of behind the rectifier."""
    lower, upper = bounds
    kind = site.output.dtype or ir.DataType.FLOAT
    if kind not in (ir.DataType.FLOAT16, ir.DataType.FLOAT, ir.DataType.DOUBLE):
        raise Obstacle(f"bounds of {kind.name} are not written")
    largest = float(np.finfo(kind.numpy()).max)
    low, high = (np.where(scale > 0, one, other) for one, other in ((lower, upper), (upper, lower)))
    if np.isfinite(low).any():
        plan.insert(site.output, "Max", np.clip(low, -largest, largest), name=site.name)
    if np.isfinite(high).any():
        plan.insert(site.output, "Min", np.clip(high, -largest, largest), name=site.name)
    plan.then(lambda: values.bridge(rectifier.node))
