"""This module is the study of scale: what a network makes of weights that are multiplied by a number.

    bntrain study scale --data FOLDER --output docs/studies
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from training.studies.data import StudyData
from training.studies.fitting import Plan
from training.studies.networks import draw_gaussian, perceptron
from training.studies.results import Outcome, rounded
from training.studies.scale_fits import WIDTHS, fit_from_scales, fit_with_weight_decay
from training.studies.scale_identities import NO_EPS, Case, expected_departure, measure_departures

BATCH_ROWS = 60
LEARNING_RATE = 0.1
FACTORS = tuple(10.0**power for power in range(-25, 26))
DTYPES = {"float64": torch.float64, "float32": torch.float32}
EPS = {"1e-5": 1e-5, "none": NO_EPS}


def measure(data: StudyData, steps: int, seed: int) -> Iterator[Outcome]:
    """The identities, fits from every scale, weight decay against a learning rate that grows."""
    data, plan = data.standardized(), Plan(steps, BATCH_ROWS, LEARNING_RATE, seed=seed)
    yield from measure_identities(data, seed)
    yield from fit_from_scales(data, plan)
    yield fit_with_weight_decay(data, plan)


def measure_identities(data: StudyData, seed: int) -> Iterator[Outcome]:
    """Departures from the identities of the first hidden layer on a batch, for every factor, type and eps."""
    network = perceptron(data.in_features, WIDTHS, nn.ReLU, normalized=True)
    draw_gaussian(network, None, seed=seed)
    weight = next(module.weight.detach() for module in network if isinstance(module, nn.Linear))
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(data.train), generator=generator)[:BATCH_ROWS]
    cotangent = torch.randn(BATCH_ROWS, WIDTHS[0], generator=generator, dtype=torch.float64)
    case = Case(data.train.values[chosen].flatten(1).double(), weight.double(), cotangent)
    for dtype in DTYPES:
        for eps in EPS:
            found = [measure_departures(case, factor, eps=EPS[eps], dtype=DTYPES[dtype]) for factor in FACTORS]
            yield Outcome(
                condition={"part": "identities", "dtype": dtype, "eps": eps},
                seed=seed,
                figures={},
                series={
                    "factor": list(FACTORS),
                    "output": rounded(each.output for each in found),
                    "input_gradient": rounded(each.input_gradient for each in found),
                    "weight_gradient": rounded(each.weight_gradient for each in found),
                    "expected": rounded(expected_departure(case, factor, eps=EPS[eps]) for factor in FACTORS),
                },
            )
