"""This module measures how far a normalization layer is from not seeing the scale of the weights before it.

With no eps, for every ``a > 0``,

    BN((aW)u) = BN(Wu)        dBN((aW)u)/du = dBN(Wu)/du        dBN((aW)u)/d(aW) = dBN(Wu)/dW / a

A layer that divides by ``sqrt(variance + eps)`` gives channels with variance ``v`` under ``W`` the factor

    sqrt(a^2 v / (a^2 v + eps))

instead of 1: at scales where ``a^2 v`` is well above eps nothing is seen of it, below that the output fades with a.

Source: Ioffe & Szegedy (2015), section 3.3, for the identities; they leave eps out.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

NO_EPS = 1e-300
"""As good as none in float64; torch wants one above 0."""


@dataclass(frozen=True, slots=True)
class Departures:
    """Norms of differences, in norms of what the identity demands; NaN or infinite where values are not finite.

    Attributes:
        output: Of ``BN((aW)u)`` from ``BN(Wu)``.
        input_gradient: Of the gradient to ``u``.
        weight_gradient: Of ``a`` times the gradient to ``aW`` from the gradient to ``W``.
    """

    output: float
    input_gradient: float
    weight_gradient: float


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """Rows through a linear layer and normalization, with what comes back from behind; all in float64.

    Attributes:
        rows: ``u``, shape ``(rows, inputs)``.
        weight: ``W``, shape ``(outputs, inputs)``.
        cotangent: The loss's gradient to the normalized output, shape ``(rows, outputs)``.
    """

    rows: Tensor
    weight: Tensor
    cotangent: Tensor


def measure_departures(case: Case, scale: float, *, eps: float, dtype: torch.dtype) -> Departures:
    """How far ``BN((aW)u)`` and its gradients are from the identities, computed in a type with an eps.

    What the identities demand is computed in float64 at ``a = 1`` and no eps.
    """
    demanded = _pass(case, 1.0, NO_EPS, torch.float64)
    output, to_rows, to_weight = _pass(case, scale, eps, dtype)
    return Departures(
        _relative(output, demanded[0]), _relative(to_rows, demanded[1]), _relative(scale * to_weight, demanded[2])
    )


def expected_departure(case: Case, scale: float, *, eps: float) -> float:
    """What eps alone does to the output, in exact arithmetic: a factor a channel, see the top of this module."""
    variance = (case.rows @ case.weight.T).var(dim=0, correction=0)
    missing = 1 - torch.rsqrt(1 + eps / (scale * scale * variance))
    return float(missing.square().mean().sqrt())


def _pass(case: Case, scale: float, eps: float, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    rows = case.rows.to(dtype, copy=True).requires_grad_()
    weight = (scale * case.weight).to(dtype, copy=True).requires_grad_()
    output = functional.batch_norm(rows @ weight.T, None, None, training=True, eps=eps)
    to_rows, to_weight = torch.autograd.grad(output, (rows, weight), case.cotangent.to(dtype))
    return output.detach().double(), to_rows.double(), to_weight.double()


def _relative(found: Tensor, demanded: Tensor) -> float:
    return float((found - demanded).norm() / demanded.norm())
