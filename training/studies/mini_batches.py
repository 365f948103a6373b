"""This module is the study of mini-batches: how well they tell the statistics, and by which to normalize at inference.

    bntrain study mini-batches --data FOLDER --output docs/studies

1.5 CPU minutes on MNIST, 3 seeds. Batches tell the statistics as well as samples of their size; Bessel's correction is
right before the first layer alone; the ways to estimate differ in closeness, and hardly in accuracy.
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

- population: exact, over all training rows, layer by layer (`docs/statistics.md`);
- one pass: PreciseBN, the mean and variance of what each layer takes in {ESTIMATED_ROWS:,} training rows, in batches
  of the same size, each normalized by its own statistics;
- Algorithm 2: of the same batches, as the paper has it;
- moving averages, with Bessel's correction, as the fit left them; those of other momenta were kept beside them;
- the batch's own, of as many test rows at a time as were fitted to; rows that fill no batch are left out.
""",
    verdict="""
Held:

- What a batch of m independent rows tells is off as statistics say. Before the first layer its means are off by
  about 1 / √m training deviations, 0.69 at 2 rows, 0.17 at 32, 0.047 at 512, and its variances are (m - 1) / m of the
  true ones.
- By the batch's own statistics at test time is not desirable: 20 points of accuracy less at 2 rows, 6.9 at 8, 1.8 at
  32, and 0.25 ± 0.16 at 128. At 512 rows the 0.10 ± 0.12 points are not told from none, and 272 of the 10,000 test rows
  fill no batch there.
- Moving averages track the accuracy: from 8 rows on, those of momentum 0.1 are within half a point of the population
  statistics, their intervals included. At 2 and 4 rows three seeds are too few to tell.

Held not:

- Bessel's correction is right before the first layer alone. Behind it the rows of a batch have been normalized together
  and are independent no more: what the second layer takes has 0.90 of its variance at 2 rows, not 0.5, so Algorithm 2
  makes 1.80 of it, and torch's moving averages 1.8 too. It is 1.20 at 4 rows, 1.045 at 16, 1.022 at 32; from 128 on it
  is not told from 1.
- Batches of any size above 1: with 2 rows a normalized value is close to 1 or -1 whatever the row, and the network is
  worse with normalization than without, 48 % against 76 %. It is shown to be better at two sizes, by 1.2 ± 1.1 points
  at 32 rows and by 0.49 ± 0.10 at 512; at 4, 8, 16 and 128 rows the two are not told apart.

What PreciseBN buys is closeness. At 32 rows one pass of 4,096 is off by 0.015 deviations and 2 % of the variance in the
first layer, moving averages by 0.055 and 6 %. The accuracy by moving averages is not told from that by the population
at any size, 0.00 ± 0.32 points at 32 rows. Nor does accuracy tell how many rows a pass takes: one of 32 costs 1.15 ±
1.24 points, one of 512 costs 0.15 ± 0.17. In closeness 4,096 rows are well ahead of 512. Behind the first layer one
pass has a bias by the size of its batches, 10 % of the variance at 2 and 4 rows and 1 % at 32, and that with 4,096
rows; layer by layer there is none.

No momentum is the best in all. With 0.5 the variances are further off than with 0.1 at every size: it forgets too soon.
With 0.01 the second layer's means are further off at every size, and the first layer's from 16 rows on: it still tells
of weights that have changed. But it averages more batches, and where they are small its variances are closer, in the
second layer up to 16 rows and in the first at 2; from 128 on they are further off in both. In accuracy 0.01 and 0.1 are
not told apart at any size.
""",
    later="""
Wu & Johnson (2021), "Rethinking 'Batch' in BatchNorm", section 3: moving averages lag and vary, most so with large
batches and many changes of the weights; PreciseBN takes 1,000 to 10,000 rows. Here the lag shows in closeness, by a
momentum of 0.01; a constant learning rate of 0.05 may change weights too slowly for more. How many rows it takes is not
told by accuracy. They also find that the batch's own statistics at test time help networks that were fitted by small
batches; here they harm from 2 rows to 128, by small batches the most. Their batches have many pixels a channel, these
have a row.

Wu & He (2018), "Group Normalization": on ImageNet batch normalization loses 10.6 points against group normalization at
batches of 2. Ioffe (2017), "Batch Renormalization", corrects in the fit for what batches and moving averages differ by.

What bntrain itself does after a fit is exact, layer by layer, see `docs/statistics.md`.
""",
    steps=600,
    seeds=3,
    measure=fit_by_batch_sizes,
    show=partial(show_mini_batches, study=NAME),
)
