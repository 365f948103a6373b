"""This module fits with and without normalization and Dropout, and by statistics of every noise, and compares."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean

import torch
from torch import nn

from training.data.splits import Rows
from training.normalization import normalization_layers, read_layer, read_moving_averages
from training.population import estimate_population_statistics
from training.studies.batch_estimates import Closeness, with_statistics
from training.studies.data import StudyData
from training.studies.fitting import Plan, fit
from training.studies.generalization import Generalization, Performance
from training.studies.ghost_normalization import GhostBatchNorm1d
from training.studies.networks import draw_gaussian, perceptron
from training.studies.results import Outcome, Value

WIDTHS = (100, 100)
BATCH_ROWS = 64
LEARNING_RATE = 0.1
DROPPED = 0.4
ROWS = (5_000, 60_000)
NOISE_ROWS = 5_000
GROUPS = (2, 4, 8, 16, 32, 64)


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to build the network.

    Attributes:
        name: On the page.
        normalized: Whether its hidden layers are.
        dropout: Behind which hidden layers values are dropped: ``none``, ``all`` or the ``last``.
    """

    name: str
    normalized: bool
    dropout: str


KINDS = (
    Kind("neither", normalized=False, dropout="none"),
    Kind("normalization", normalized=True, dropout="none"),
    Kind("Dropout", normalized=False, dropout="all"),
    Kind("both", normalized=True, dropout="all"),
    Kind("both, Dropout last", normalized=True, dropout="last"),
)


def fit_kinds_and_noises(data: StudyData, steps: int, seed: int) -> Iterator[Outcome]:
    """Fit every kind to few rows and to all; then normalization by groups of every size."""
    data, plan = data.standardized(), Plan(steps, BATCH_ROWS, LEARNING_RATE, seed=seed)
    for count in sorted({min(count, len(data.train)) for count in ROWS}):
        train = drawn(data.train, count, seed)
        for kind in KINDS:
            network = build(data.in_features, kind, seed=seed)
            condition: dict[str, Value] = {"part": "kinds", "rows": float(count), "kind": kind.name}
            yield fit_and_compare(network, train, data.test, plan, condition)
    train = drawn(data.train, NOISE_ROWS, seed)
    for group_rows in GROUPS:
        network = build(data.in_features, KINDS[1], seed=seed, group_rows=group_rows)
        yield fit_and_compare(network, train, data.test, plan, {"part": "noise", "group_rows": float(group_rows)})


def drawn(rows: Rows, count: int, seed: int) -> Rows:
    """So many of the rows, or all if there are fewer; the same ones for the same seed."""
    chosen = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))[:count]
    return Rows(rows.values[chosen], rows.labels[chosen])


def build(in_features: int, kind: Kind, *, seed: int, group_rows: int | None = None) -> nn.Sequential:
    """The network of a kind; its normalization takes groups of a batch by themselves, where a size is given."""
    plain = perceptron(in_features, WIDTHS, nn.ReLU, normalized=kind.normalized)
    draw_gaussian(plain, None, seed=seed)
    modules: list[nn.Module] = []
    for position, module in enumerate(plain):
        if isinstance(module, nn.BatchNorm1d) and group_rows is not None:
            modules.append(GhostBatchNorm1d(module.num_features, group_rows))
        else:
            modules.append(module)
        last = position == len(plain) - 2
        if isinstance(module, nn.ReLU) and (kind.dropout == "all" or (kind.dropout == "last" and last)):
            modules.append(nn.Dropout(DROPPED))
    return nn.Sequential(*modules)


def fit_and_compare(
    network: nn.Sequential, train: Rows, test: Rows, plan: Plan, condition: dict[str, Value]
) -> Outcome:
    """Fit, and compare training rows with test rows; and moving averages with the population, if layers keep any."""
    for _step in fit(network, train, plan):
        pass
    figures: dict[str, float] = {}
    layers = normalization_layers(network)
    if layers:
        averages = read_moving_averages(network)
        estimate_population_statistics(network, torch.split(train.values, 1000))
        if not any(isinstance(layer, GhostBatchNorm1d) for layer in layers.values()):  # which keep none
            found = [Closeness.of(averages[name], read_layer(name, layer)) for name, layer in layers.items()]
            figures |= {"average_ratio": fmean(each.ratio for each in found)}
            by_averages = Performance.on(with_statistics(network, averages), test)
            figures |= {"test_loss_by_averages": by_averages.loss, "test_accuracy_by_averages": by_averages.accuracy}
    measured = Generalization(Performance.on(network, train), Performance.on(network, test))
    return Outcome(condition=condition, seed=plan.seed, figures=measured.figures() | figures)
