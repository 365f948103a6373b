"""This module gives what is left of a layer its cheapest exact form, where no rule takes the whole layer in.

In the order of what is left: nothing, if the scale can go up and the shift down; a sum, if the scale can go up or
down; a sum behind each padded convolution, if images have one size; else a product and a sum.
"""

from __future__ import annotations

import numpy as np

from folding.rules.affine import Affine
from folding.rules.backward import push_up
from folding.rules.clamp import shift_before_scale
from folding.rules.forward import push_down
from folding.rules.plan import Plan
from folding.rules.sites import Site


def fold_both_ways(plan: Plan, site: Site) -> None:
    """The scale goes up, as through a rectifier if it is positive; the shift goes down, as through a sum."""
    affine = site.affine
    push_up(plan, site.input, affine.only_scale())
    push_down(plan, site.output, affine.only_shift())


def leave_shift_in_front(plan: Plan, site: Site) -> None:
    """The scale goes down; a sum with ``t / s`` stays."""
    push_down(plan, site.output, site.affine.only_scale())
    shift_before_scale(plan, site)


def leave_maps(plan: Plan, site: Site) -> None:
    """The scale goes down, and the shift becomes a constant map behind each convolution that pads."""
    plan.maps = True
    push_down(plan, site.output, site.affine)


def leave_shift_behind(plan: Plan, site: Site) -> None:
    """The scale goes up; a sum with ``t`` stays."""
    affine = site.affine
    push_up(plan, site.input, affine.only_scale())
    plan.insert(site.output, "Add", affine.shift, name=site.name)


def leave_product_and_sum(plan: Plan, site: Site) -> None:
    """The layer becomes ``s x + t``, written as two nodes."""
    affine = Affine(*np.broadcast_arrays(site.affine.scale, site.affine.shift))
    plan.insert(site.output, "Add", affine.shift, name=site.name)
    plan.insert(site.output, "Mul", affine.scale, name=site.name)
