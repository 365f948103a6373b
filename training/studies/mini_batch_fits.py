"""This module fits by batches of every size, estimates the statistics in every way, and tests by each."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean

import torch
from torch import Tensor, nn

from models.moving_average import MovingAverage
from training.data.splits import Rows
from training.normalization import normalization_layers, read_layer
from training.population import estimate_population_statistics
from training.studies.batch_estimates import (
    Closeness,
    TrackedAverages,
    batch_moments,
    by_algorithm_2,
    in_one_pass,
    of_one_batch,
    using_batch_statistics,
    with_statistics,
)
from training.studies.data import StudyData
from training.studies.fitting import Plan, accuracy, fit
from training.studies.networks import draw_gaussian, perceptron
from training.studies.results import Outcome, Value

WIDTHS = (100, 100)
LEARNING_RATE = 0.05
BATCH_ROWS = (2, 4, 8, 16, 32, 128, 512)
MOMENTA = (0.5, 0.1, 0.01)
ESTIMATED_ROWS = 4_096
"""Rows of which Algorithm 2 and one pass estimate; a whole number of batches of every size."""

PASS_BATCH_ROWS = 32
PASS_ROWS = (32, 128, 512)
"""Of how many rows one pass is made, at one of the batch sizes, beside those."""

WITHOUT, POPULATION, BATCH = "no normalization", "population", "the batch's own"
ALGORITHM_2, ONE_PASS = "Algorithm 2", "one pass"

Estimates = Mapping[str, MovingAverage]
"""Statistics by the names of the layers."""


def fit_by_batch_sizes(data: StudyData, steps: int, seed: int) -> Iterator[Outcome]:
    """Fit by batches of every size, with and without; estimate the statistics in every way, and test by each."""
    data = data.standardized()
    for batch_rows in BATCH_ROWS:
        if batch_rows <= len(data.train):
            yield from _measure_batch_size(data, Plan(steps, batch_rows, LEARNING_RATE, seed=seed))


def _measure_batch_size(data: StudyData, plan: Plan) -> Iterator[Outcome]:
    without = _network(data, plan.seed, normalized=False)
    for _step in fit(without, data.train, plan):
        pass
    yield _outcome(plan, WITHOUT, {"accuracy": accuracy(without, data.test)})

    network = _network(data, plan.seed, normalized=True)
    with TrackedAverages(network, MOMENTA) as averages:
        for _step in fit(network, data.train, plan):
            pass
    exact = copy.deepcopy(network).eval()
    estimate_population_statistics(exact, torch.split(data.train.values, 1000))
    yield _outcome(plan, POPULATION, {"accuracy": accuracy(exact, data.test)})

    batches = some_batches(data.train, ESTIMATED_ROWS, plan)
    moments = batch_moments(network, batches)
    by_batch = [{name: of_one_batch(each[i]) for name, each in moments.items()} for i in range(len(batches))]
    own = {"accuracy": accuracy_by_batches(using_batch_statistics(network), data.test, plan)}
    yield _outcome(plan, BATCH, own | _closeness(exact, by_batch))

    estimates: dict[str, Estimates] = {average_name(momentum): averages.of(momentum) for momentum in MOMENTA}
    estimates[ALGORITHM_2] = {name: by_algorithm_2(each) for name, each in moments.items()}
    estimates[ONE_PASS] = {name: in_one_pass(each) for name, each in moments.items()}
    if plan.batch_rows == PASS_BATCH_ROWS:
        for rows in PASS_ROWS:
            few = {name: each[: rows // plan.batch_rows] for name, each in moments.items()}
            estimates[pass_name(rows)] = {name: in_one_pass(each) for name, each in few.items()}
    for name, estimate in estimates.items():
        tested = {"accuracy": accuracy(with_statistics(exact, estimate), data.test)}
        yield _outcome(plan, name, tested | _closeness(exact, [estimate]))


def average_name(momentum: float) -> str:
    """What moving averages are called on the page."""
    return f"moving averages, momentum {momentum:g}"


def pass_name(rows: int) -> str:
    """What one pass of so many rows is called on the page."""
    return f"one pass of {rows} rows"


def some_batches(rows: Rows, count: int, plan: Plan) -> list[Tensor]:
    """So many of the rows, or all if there are fewer, in whole batches; not those of the last steps."""
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(1_000 + plan.seed))[:count]
    whole = len(order) // plan.batch_rows * plan.batch_rows
    return list(torch.split(rows.values[order[:whole]], plan.batch_rows))


@torch.no_grad()
def accuracy_by_batches(network: nn.Module, rows: Rows, plan: Plan) -> float:
    """Share of rows that are put into their class, in whole batches of rows in random order.

    Where there are fewer rows than a batch has, they are one batch.
    """
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(plan.seed))
    size = min(plan.batch_rows, len(rows))
    batches = torch.split(order[: len(rows) // size * size], size)
    right = [(network(rows.values[chosen]).argmax(dim=1) == rows.labels[chosen]).float().mean() for chosen in batches]
    return float(torch.stack(right).mean())


def _network(data: StudyData, seed: int, *, normalized: bool) -> nn.Sequential:
    network = perceptron(data.in_features, WIDTHS, nn.ReLU, normalized=normalized)
    draw_gaussian(network, None, seed=seed)
    return network


def _closeness(exact: nn.Module, estimates: Sequence[Estimates]) -> dict[str, float]:
    """Of each layer, counted from 1 as data meets them; on the average over several estimates."""
    figures: dict[str, float] = {}
    for number, (name, layer) in enumerate(normalization_layers(exact).items(), start=1):
        kept = read_layer(name, layer)
        found = [Closeness.of(estimate[name], kept) for estimate in estimates]
        figures[f"shift_{number}"] = fmean(each.shift for each in found)
        figures[f"ratio_{number}"] = fmean(each.ratio for each in found)
        figures[f"ratio_error_{number}"] = fmean(each.ratio_error for each in found)
    return figures


def _outcome(plan: Plan, statistics: str, figures: dict[str, float]) -> Outcome:
    condition: dict[str, Value] = {"batch_rows": float(plan.batch_rows), "statistics": statistics}
    return Outcome(condition=condition, seed=plan.seed, figures=figures)
