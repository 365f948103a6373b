"""This module lets batch normalization see the rows of all processes: what one computes is what one of them would.

Inside ``with SynchronizedBatchNorm():`` every batch normalization in training mode, whatever module calls it, takes
the mean and the variance of its input over all processes. With ``m`` rows a process and ``p`` processes that is
normalization over ``p m`` rows, forward, backward and in the running statistics.

Moments merge exactly: a process tells its count, mean and variance, and merges those of all in the order of the ranks,
so that all get the same numbers. In the backward pass, with ``x^ = (x - mean) / deviation`` and ``N`` values a channel,

    dx = gamma / deviation (dy - sum(dy) / N - x^ sum(dy x^) / N)

where the sums are over all processes. Gradients of gamma and beta stay those of a process's own rows: they are averaged
with all others afterwards. Unlike ``torch.nn.SyncBatchNorm`` this works on CPUs too, and on any caller of
``torch.nn.functional.batch_norm``.

Source: Ioffe & Szegedy (2015), section 3; Chan, Golub & LeVeque (1983) for the merge.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, distributed
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.overrides import TorchFunctionMode


class SynchronizedBatchNorm(TorchFunctionMode):
    """In here batch normalization is over the rows of all processes of the default process group."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401  whatever the function gives
        del types
        call = _batch_norm if func is functional.batch_norm else func
        return call(*args, **(kwargs or {}))


def _batch_norm(  # noqa: PLR0913, PLR0917  the arguments of torch's own
    input: Tensor,  # noqa: A002
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    if not training:
        return functional.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
    count, mean, variance = _merged_moments(input.detach())
    if running_mean is not None and running_var is not None:
        running_mean.lerp_(mean.to(running_mean.dtype), momentum)
        running_var.lerp_((variance * count / (count - 1)).to(running_var.dtype), momentum)
    normalized: Tensor = _Normalize.apply(input, weight, bias, mean, variance + eps, count)  # type: ignore[no-untyped-call]
    return normalized


def _merged_moments(values: Tensor) -> tuple[int, Tensor, Tensor]:
    """Count, mean and population variance a channel, over all processes, in float64."""
    axes = [axis for axis in range(values.ndim) if axis != 1]
    variance, mean = torch.var_mean(values.to(torch.promote_types(values.dtype, torch.float32)), dim=axes, correction=0)
    own = torch.stack([torch.full_like(mean, values.numel() // values.shape[1]), mean, variance]).double()
    gathered = [torch.empty_like(own) for _ in range(distributed.get_world_size())]
    distributed.all_gather(gathered, own)
    counts, means, variances = torch.stack(gathered).unbind(dim=1)
    count = counts.sum(dim=0)
    mean = (counts * means).sum(dim=0) / count
    variance = (counts * (variances + (means - mean) ** 2)).sum(dim=0) / count
    return int(count[0]), mean, variance


class _Normalize(torch.autograd.Function):
    """``gamma (x - mean) / deviation + beta``, where mean and deviation are those of ``x`` over all processes.

    What has 16 bits is computed in 32 and rounded once, as torch does it: a difference of large values, or a sum of
    many, is nothing for 16.
    """

    @staticmethod
    def forward(  # noqa: PLR0913, PLR0917  what there is to keep for the backward pass
        ctx: Any,  # noqa: ANN401
        values: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        mean: Tensor,
        squared_deviation: Tensor,
        count: int,
    ) -> Tensor:
        """Normalized values, shaped and typed like ``values``."""
        shape, kind = (1, -1) + (1,) * (values.ndim - 2), torch.promote_types(values.dtype, torch.float32)
        centre, inverse = (each.to(kind).view(shape) for each in (mean, squared_deviation.rsqrt()))
        normalized = (values - centre) * inverse
        ctx.save_for_backward(values, weight, centre, inverse)
        ctx.count, ctx.has_bias = count, bias is not None
        if weight is not None:
            normalized *= weight.view(shape)
        if bias is not None:
            normalized += bias.view(shape)
        return normalized.to(values.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        """The gradient of the values, through the moments too, and those of weight and bias from the own values."""
        values, weight, centre, inverse = ctx.saved_tensors
        gradient, normalized = gradient.to(inverse.dtype), (values - centre) * inverse
        axes = [axis for axis in range(gradient.ndim) if axis != 1]
        own = gradient.sum(dim=axes), (gradient * normalized).sum(dim=axes)
        sums = torch.stack(own).double()
        distributed.all_reduce(sums)
        shift, slope = (sums / ctx.count).to(inverse.dtype).view(2, *inverse.shape)
        scale = inverse if weight is None else inverse * weight.view(inverse.shape)
        moved = (gradient - shift - normalized * slope) * scale
        of_weight, of_bias = None if weight is None else own[1], own[0] if ctx.has_bias else None
        return moved.to(values.dtype), of_weight, of_bias, None, None, None
