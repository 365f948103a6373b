"""This module is the list of rules, in the order in which they are tried, and when each is worth it.

``complete`` uses them all, so that no normalization node stays. ``fast`` uses those that leave nothing behind; of the
others, those that are no slower under ONNX Runtime than the node they replace. ``python -m benchmarks.folding rules``
measures that: the runtime runs a layer of images and the rectifier behind it in one pass over its own memory layout,
which a sum or bounds would leave.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from folding.rules import values
from folding.rules.backward import push_up
from folding.rules.clamp import bound_input, bound_shifted_input, rectifier_behind
from folding.rules.forward import push_down
from folding.rules.obstacle import Obstacle
from folding.rules.plan import Plan
from folding.rules.remainder import (
    fold_both_ways,
    leave_maps,
    leave_product_and_sum,
    leave_shift_behind,
    leave_shift_in_front,
)
from folding.rules.sites import Site
from folding.rules.taps import Side
from models.manifest import FoldMode, Placement

IMAGE_AXES = 4
"""Batch, channels, height, width: what ONNX Runtime has a memory layout of its own for."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One way of doing without a normalization node.

    Attributes:
        plan: Plans it, or raises Obstacle.
        placement: What the layer's verdict says if it is carried out.
        side: At which side of the layer the tensor is that stays.
        direction: Which obstacles are told, as "not backward: ..."; empty for a variant.
        leaves: What the sentence begins with that says what is left; None if nothing is.
        keeps: Whether the node itself is left.
    """

    plan: Callable[[Plan, Site], None]
    placement: Placement
    side: Side
    direction: str = ""
    leaves: str | None = None
    keeps: bool = False

    def apply(self, site: Site) -> Plan:
        """Do without a layer's node, and observe the layer where it still can be.

        Returns:
            What was carried out.

        Raises:
            Obstacle: If the rule does not apply; nothing is changed then.
        """
        plan = Plan(site.taps)
        self.plan(plan, site)
        if self.side == "input":
            site.taps.observe_input(site.name, site.node)  # first, so that what the plan does to it is noted
        plan.carry_out()
        if self.side == "output":
            site.taps.observe_output(site.name, site.input)  # which holds the layer's output now
        if not self.keeps:
            values.bridge(site.node)
        return plan


def _fold_backward(plan: Plan, site: Site) -> None:
    push_up(plan, site.input, site.affine)


def _fold_forward(plan: Plan, site: Site) -> None:
    push_down(plan, site.output, site.affine)


def _fold_through_one_bound(plan: Plan, site: Site) -> None:
    """As a single node in place of the rectifier: where it only bounds below, and the scales have one sign."""
    signs = np.sign(site.affine.scale)
    if rectifier_behind(site.output).bounds[1] != np.inf or len(np.unique(signs[signs != 0])) > 1:
        raise Obstacle("it would take two bounds")
    bound_input(plan, site)


def _keep(plan: Plan, site: Site) -> None:
    del plan, site


BACKWARD = Rule(_fold_backward, "folded-backward", "output", "backward")
FORWARD = Rule(_fold_forward, "folded-forward", "input", "forward")
BOTH_WAYS = Rule(fold_both_ways, "folded-forward", "input")
THROUGH_RECTIFIER = Rule(bound_input, "folded-forward", "input")
THROUGH_ONE_BOUND = Rule(_fold_through_one_bound, "folded-forward", "input")

ONE_SUM = (
    Rule(bound_shifted_input, "affine", "input", leaves="Its scale went into {into}, a sum stayed"),
    Rule(leave_shift_in_front, "affine", "input", leaves="Its scale went into {into}, a sum stayed"),
    Rule(leave_maps, "affine", "input", leaves="It went into {into}, a sum with a map stayed"),
    Rule(leave_shift_behind, "affine", "input", leaves="Its scale went into {into}, a sum stayed"),
)
PRODUCT_AND_SUM = Rule(leave_product_and_sum, "affine", "input", leaves="It stayed as a product and a sum")
KEEP = Rule(
    _keep, "kept", "input", leaves="It stayed as it was, which runs faster than what would be left of it", keeps=True
)


def rules(mode: FoldMode, site: Site) -> list[Rule]:
    """The rules to try for a layer, in order; the last always applies."""
    exact = [BACKWARD, FORWARD, BOTH_WAYS]
    if mode == "complete":
        return [*exact, THROUGH_RECTIFIER, *ONE_SUM, PRODUCT_AND_SUM]
    if values.rank(site.input) == IMAGE_AXES:
        return [*exact, KEEP]
    return [*exact, THROUGH_ONE_BOUND, KEEP]
