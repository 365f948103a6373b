"""This module measures internal covariate shift as Santurkar et al. define it: by what it does to gradients.

Of layer ``i`` at step ``t``, whose batch is ``b`` and which takes the parameters from ``W`` to ``V``:

    G  = gradient of L(W_1, ..., W_k; b)                         by W_i
    G' = gradient of L(V_1, ..., V_(i-1), W_i, ..., W_k; b)      by W_i

The layers before ``i`` have made their step in ``G'``, the others have not. The shift is ``|G - G'|``: how much of what
the layer was told to do was out of date at once. Without any, it is 0 and the cosine of the two is 1.

Source: Santurkar, Tsipras, Ilyas & Madry (2018), "How Does Batch Normalization Help Optimization?", definition 2.1,
arXiv 1805.11604.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class GradientShift:
    """The shift of one layer over one step.

    Attributes:
        distance: ``|G - G'|``, of the gradient by the layer's weight.
        relative: The same over ``|G|``.
        cosine: Of the angle between both.
    """

    distance: float
    relative: float
    cosine: float


def parameters_of(network: nn.Module) -> dict[str, Tensor]:
    """A copy of the parameters as they are, to compare with later."""
    return {name: parameter.detach().clone() for name, parameter in network.named_parameters()}


def gradient_shifts(
    network: nn.Sequential, before: Mapping[str, Tensor], values: Tensor, labels: Tensor
) -> list[GradientShift]:
    """The shift of every linear layer over the step that has just been made.

    A layer is a linear one and what follows it up to the next: its normalization moves with it. The network is left as
    it is, running statistics too, and is taken in the mode that it is in.

    Args:
        network: As it is after the step.
        before: Its parameters before.
        values: The batch of the step.
        labels: Their classes.

    Returns:
        One for each linear layer, in their order; nothing is before the first, so that its shift is 0.
    """
    weights = [f"{name}.weight" for name, module in network.named_children() if isinstance(module, nn.Linear)]
    after = parameters_of(network)
    names = list(after)
    told = _gradients(network, before, weights, values, labels)
    shifts = []
    for weight, gradient in zip(weights, told, strict=True):
        moved = {name: after[name] for name in names[: names.index(weight)]}
        (now,) = _gradients(network, {**before, **moved}, [weight], values, labels)
        shifts.append(_shift(gradient, now))
    return shifts


def _gradients(
    network: nn.Module, parameters: Mapping[str, Tensor], by: Sequence[str], values: Tensor, labels: Tensor
) -> list[Tensor]:
    leaves = {name: parameter.clone().requires_grad_() for name, parameter in parameters.items()}
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    loss = functional.cross_entropy(functional_call(network, {**leaves, **buffers}, (values,)), labels)
    return list(torch.autograd.grad(loss, [leaves[name] for name in by]))


def _shift(told: Tensor, now: Tensor) -> GradientShift:
    distance = float((told - now).norm())
    norm = float(told.norm())
    return GradientShift(
        distance=distance,
        relative=distance / norm if norm > 0 else 0.0,
        cosine=float(functional.cosine_similarity(told.flatten(), now.flatten(), dim=0)),
    )
