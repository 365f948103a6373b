"""This module fits from initial weights of every scale, and by weight decay against a learning rate that grows.

Where nothing is seen of a weight's scale, ``w`` and ``a w`` are one network, to which gradient descent with the
learning rates ``eta`` and ``a^2 eta`` does the same: only ``eta / |w|^2``, the effective learning rate, tells. Weight
decay moves nothing but the scale. With ``rho = 1 - eta lambda`` the steps

    w <- rho w - eta dL/dw          and          v <- v - eta rho^-(2 t + 1) dL/dv          of step t = 0, 1, 2, ...

keep ``w = rho^t v`` and so give the same network at every step.

Source: van Laarhoven (2017), "L2 regularization versus batch and weight normalization", for the effective learning
rate; Li & Arora (2020), "An exponential learning rate schedule for deep learning", for the growing one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from training.data.splits import Rows
from training.normalization import normalization_layers
from training.population import estimate_population_statistics
from training.studies.data import StudyData
from training.studies.fitting import Plan, accuracy, fit, spread_steps
from training.studies.networks import draw_gaussian, perceptron
from training.studies.results import Outcome, rounded
from training.studies.scale_identities import NO_EPS

WIDTHS = (100, 100, 100)
SCALES = tuple(10.0**power for power in range(-3, 4))
"""Of the hidden layers' first weights, in units of Glorot's: six orders of magnitude."""

WITHOUT, WITH, NARROW, ADAPTED = "without", "with", "with, eps 1e-12", "with, eps 1e-12, rate times a²"
EPS = {WITH: 1e-5, NARROW: 1e-12, ADAPTED: 1e-12}
WEIGHT_DECAY = 0.01
STATISTICS_ROWS = 10_000


def fit_from_scales(data: StudyData, plan: Plan) -> Iterator[Outcome]:
    """Fit every network from every scale, and tell how far its hidden weights went."""
    for name in (WITHOUT, *EPS):
        for scale in SCALES:
            yield fit_from_scale(data, plan, name, scale)


def fit_from_scale(data: StudyData, plan: Plan, name: str, scale: float) -> Outcome:
    """Fit the network of a name from one scale."""
    network = perceptron(data.in_features, WIDTHS, nn.ReLU, normalized=name in EPS)
    draw_gaussian(network, None, seed=plan.seed)
    for layer in normalization_layers(network).values():
        layer.eps = EPS[name]
    weights = hidden_weights(network)
    with torch.no_grad():
        for weight in weights:
            weight.mul_(scale)
    before = [weight.detach().clone() for weight in weights]
    rate = plan.learning_rate * (scale**2 if name == ADAPTED else 1)
    diverged_at = math.nan
    for step in fit(network, data.train, plan, _with_hidden_rate(plan, rate)):
        if step.diverged:
            diverged_at = step.number
    if math.isnan(diverged_at):
        estimate_population_statistics(network, torch.split(data.train.values[:STATISTICS_ROWS], 1000))
    pairs = [(weight.detach(), first) for weight, first in zip(weights, before, strict=True)]
    moved, grown = (
        _geometric_mean([float(norm / first.norm()) for norm, first in norms])
        for norms in (
            [((weight - first).norm(), first) for weight, first in pairs],
            [(weight.norm(), first) for weight, first in pairs],
        )
    )
    return Outcome(
        condition={"part": "initial scale", "network": name, "scale": scale},
        seed=plan.seed,
        figures={
            "accuracy": accuracy(network, data.test),
            "diverged_at": diverged_at,
            "moved": moved if math.isnan(diverged_at) else math.nan,
            "grown": grown if math.isnan(diverged_at) else math.nan,
        },
    )


def fit_with_weight_decay(data: StudyData, plan: Plan) -> Outcome:
    """Fit by weight decay, by the growing rate that should do the same, and by neither; in float64, step by step.

    Both are of the hidden weights, before normalization layers without eps; all else is fitted alike.
    """
    rows = Rows(data.train.values.double(), data.train.labels)
    networks = {kind: _unscaled(data, plan.seed) for kind in ("decayed", "grown", "neither")}
    optimizers = {
        kind: _with_hidden_rate(plan, plan.learning_rate, WEIGHT_DECAY if kind == "decayed" else 0.0)(network)
        for kind, network in networks.items()
    }
    fits = [fit(network, rows, plan, partial(_the, optimizers[kind])) for kind, network in networks.items()]
    shown, largest = spread_steps(plan.steps, 40), 0.0
    series: dict[str, list[float]] = {f"{what}_{kind}": [] for kind in networks for what in ("loss", "rate")}
    optimizers["grown"].param_groups[0]["lr"] = growing_rate(plan.learning_rate, WEIGHT_DECAY, 0)
    for steps in zip(*fits, strict=True):
        losses = dict(zip(networks, (step.loss for step in steps), strict=True))
        largest = max(largest, abs(losses["decayed"] / losses["grown"] - 1))
        number = steps[0].number
        for kind, network in networks.items():
            if number in shown:
                rate = optimizers[kind].param_groups[0]["lr"] / float(hidden_weights(network)[1].detach().norm() ** 2)
                series[f"loss_{kind}"].append(losses[kind])
                series[f"rate_{kind}"].append(rate)
        optimizers["grown"].param_groups[0]["lr"] = growing_rate(plan.learning_rate, WEIGHT_DECAY, number)
    return Outcome(
        condition={"part": "weight decay"},
        seed=plan.seed,
        figures={
            "largest_difference": largest,
            "last_rate": growing_rate(plan.learning_rate, WEIGHT_DECAY, plan.steps - 1),
        },
        series={"step": [float(number) for number in shown]} | {name: rounded(each) for name, each in series.items()},
    )


def growing_rate(learning_rate: float, weight_decay: float, step: int) -> float:
    """The learning rate of a step, from 0, that does without weight decay what one with it does."""
    return learning_rate * (1 - learning_rate * weight_decay) ** -(2 * step + 1)


def hidden_weights(network: nn.Sequential) -> list[Tensor]:
    """The weights before normalization layers: of every linear layer but the last."""
    return [module.weight for module in network if isinstance(module, nn.Linear)][:-1]


def _unscaled(data: StudyData, seed: int) -> nn.Sequential:
    network = perceptron(data.in_features, WIDTHS, nn.ReLU, normalized=True).double()
    draw_gaussian(network, None, seed=seed)
    for layer in normalization_layers(network).values():
        layer.eps = NO_EPS
    return network


def _with_hidden_rate(plan: Plan, rate: float, weight_decay: float = 0.0) -> Callable[[nn.Module], Optimizer]:
    """Gradient descent whose first group of parameters is the hidden weights, with their own rate and decay."""

    def optimizer(network: nn.Module) -> Optimizer:
        assert isinstance(network, nn.Sequential)
        hidden = hidden_weights(network)
        others = [parameter for parameter in network.parameters() if not any(parameter is each for each in hidden)]
        groups: list[dict[str, Any]] = [
            {"params": hidden, "lr": rate, "weight_decay": weight_decay},
            {"params": others},
        ]
        return SGD(groups, lr=plan.learning_rate)

    return optimizer


def _the(optimizer: Optimizer, _network: nn.Module) -> Optimizer:
    """One that is made already."""
    return optimizer


def _geometric_mean(values: list[float]) -> float:
    if not all(0 < value < math.inf for value in values):
        return math.nan
    return math.exp(sum(map(math.log, values)) / len(values))
