"""This module is the study of mini-batches: how well they tell the statistics, and by which to normalize at inference.

bntrain study mini-batches --data FOLDER --output docs/studies
"""

from __future__ import annotations

from functools import partial

from training.studies.mini_batch_figures import show_mini_batches
from training.studies.mini_batch_fits import BATCH_ROWS, ESTIMATED_ROWS, LEARNING_RATE, WIDTHS, fit_by_batch_sizes
from training.studies.study import Study

NAME = "mini-batches"

STUDY = Study(
    name=NAME,
    title="Mini-batch estimates",
    claim="""
> Since we use mini-batches in stochastic gradient training, each mini-batch produces estimates of the mean and variance
> of each activation.

> The normalization of activations that depends on the mini-batch allows efficient training, but is neither necessary
> nor desirable during inference. [...] Using moving averages instead, we can track the accuracy of a model as it
> trains.

Ioffe & Szegedy (2015), sections 3 and 3.1. Algorithm 2 averages the means of batches, and their variances with Bessel's
correction m / (m - 1).
""",
    setup=f"""
A perceptron of {len(WIDTHS)} hidden layers of {WIDTHS[0]} rectifiers, on standardized pixels, fitted with batches of
{BATCH_ROWS[0]} to {BATCH_ROWS[-1]} rows, with normalization and, for comparison, without: small batches have noisy
gradients whatever is normalized. Glorot's weights, gradient descent with a learning rate of {LEARNING_RATE:g}, as many
steps for every size. The normalized network is then tested with each kind of statistics:

- population: exact, over all training rows, layer by layer ([statistics](../statistics.md));
- one pass: PreciseBN, the mean and variance of what each layer takes in {ESTIMATED_ROWS:,} training rows, in batches
  of the same size, each normalized by its own statistics;
- Algorithm 2: of the same batches, as the paper has it;
- moving averages, with Bessel's correction, as the fit left them; those of other momenta were kept beside them;
- the batch's own, of as many test rows at a time as were fitted to.
""",
    verdict="""
""",
    later="""
""",
    steps=600,
    seeds=3,
    measure=fit_by_batch_sizes,
    show=partial(show_mini_batches, study=NAME),
)
