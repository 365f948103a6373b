"""This module is the study of subsets: which activations are worth normalizing, on which side of the nonlinearity.

bntrain study subsets --data FOLDER --output docs/studies
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from statistics import fmean

import torch
from torch import nn

from models.normalization import Normalization
from training.insert import normalize
from training.normalization import normalization_layers
from training.population import estimate_population_statistics
from training.studies.data import StudyData
from training.studies.fitting import Plan, accuracy, fit
from training.studies.networks import draw_gaussian, perceptron
from training.studies.results import Outcome

WIDTHS = (100,) * 6
BATCH_ROWS = 60
LEARNING_RATE = 0.1
TARGET_LOSS = 0.4
WINDOW = 50
"""Steps over which the loss of the batches is averaged. By it, since moving averages lag behind the first steps."""

STATISTICS_ROWS = 10_000

NONLINEARITIES: Mapping[str, Callable[[], nn.Module]] = {"sigmoid": nn.Sigmoid, "ReLU": nn.ReLU}
SUBSETS: Mapping[str, tuple[int, ...]] = {
    "none": (),
    "input": (),
    "first": (1,),
    "last": (6,),
    "every other": (1, 3, 5),
    "all": (1, 2, 3, 4, 5, 6),
}
"""Which hidden layers are normalized, counted from 1."""

BEFORE, AFTER, NOWHERE = "before", "after", "-"


def measure(data: StudyData, steps: int, seed: int) -> Iterator[Outcome]:
    """Fit with every subset, both nonlinearities and both sides."""
    data, plan = data.standardized(), Plan(steps, BATCH_ROWS, LEARNING_RATE, seed=seed)
    for nonlinearity in NONLINEARITIES:
        for subset, layers in SUBSETS.items():
            for where in (BEFORE, AFTER) if layers else (NOWHERE,):
                network = build(data, nonlinearity, subset, where, seed=seed)
                condition = {"nonlinearity": nonlinearity, "subset": subset, "where": where}
                figures = _fit_and_count(network, data, plan)
                yield Outcome(condition=condition, seed=seed, figures=figures)


def build(data: StudyData, nonlinearity: str, subset: str, where: str, *, seed: int) -> nn.Sequential:
    """The perceptron, with normalization layers on a subset of its activations; the same weights for all of them."""
    network = perceptron(data.in_features, WIDTHS, NONLINEARITIES[nonlinearity], normalized=False)
    draw_gaussian(network, None, seed=seed)
    linear = [name for name, module in network.named_children() if isinstance(module, nn.Linear)]
    names = [linear[layer - 1] for layer in SUBSETS[subset]]
    if subset == "input":
        names = [name for name, module in network.named_children() if isinstance(module, nn.Flatten)]
    if names:
        side = "after" if where == AFTER else "before"
        normalize(network, data.train.values[:2], [Normalization(names=tuple(names), where=side)])
    return network


def _fit_and_count(network: nn.Sequential, data: StudyData, plan: Plan) -> dict[str, float]:
    """Accuracy at the end, and the steps to the end of the first window whose mean loss is below the target."""
    reached = diverged_at = math.nan
    window: list[float] = []
    for step in fit(network, data.train, plan):
        window.append(step.loss)
        if step.diverged:
            diverged_at = step.number
        elif len(window) == WINDOW:
            if math.isnan(reached) and fmean(window) < TARGET_LOSS:
                reached = step.number
            window.clear()
    if normalization_layers(network) and math.isnan(diverged_at):
        estimate_population_statistics(network, torch.split(data.train.values[:STATISTICS_ROWS], 1000))
    return {"accuracy": accuracy(network, data.test), "steps_to_target": reached, "diverged_at": diverged_at}
