"""This module is the study of regularization: what normalization and Dropout do to the gap between training and test.

    bntrain study regularization --data FOLDER --output docs/studies

2.9 CPU minutes on MNIST, 3 seeds. The noise of small groups regularizes, a gap of 0.11 nats at 4 rows against 0.20 at
64; at 64 normalization alone does so weakly. Dropout brings no accuracy, with normalization or without.
"""

from __future__ import annotations

from functools import partial

from training.studies.regularization_figures import show_regularization
from training.studies.regularization_fits import (
    BATCH_ROWS,
    DROPPED,
    GROUPS,
    LEARNING_RATE,
    NOISE_ROWS,
    ROWS,
    WIDTHS,
    fit_kinds_and_noises,
)
from training.studies.study import Study

NAME = "regularization"

STUDY = Study(
    name=NAME,
    title="Regularization and Dropout",
    claim="""
> When training with Batch Normalization, a training example is seen in conjunction with other examples in the
> mini-batch, and the training network no longer producing deterministic values for a given training example. In our
> experiments, we found this effect to be advantageous to the generalization of the network. Whereas Dropout (Srivastava
> et al., 2014) is typically used to reduce overfitting, in a batch-normalized network we found that it can be either
> removed or reduced in strength.

Ioffe & Szegedy (2015), section 3.4. In section 4.2.1 Inception's Dropout of 40 % is removed.
""",
    setup=f"""
A perceptron of {len(WIDTHS)} hidden layers of {WIDTHS[0]} rectifiers, on standardized pixels, fitted to {ROWS[0]:,}
rows drawn at random and to all of them; with normalization, with Dropout of {100 * DROPPED:g} % behind every hidden
layer, with both, with both but Dropout behind the last hidden layer alone, with neither. Glorot's weights and batches
of {BATCH_ROWS} rows, the same for all; gradient descent with a learning rate of {LEARNING_RATE:g}. The gap is between
the rows that were fitted to and the test rows, in inference mode both.

The noise of the statistics is changed by itself: of every batch of {BATCH_ROWS} rows, groups of 2 to {GROUPS[-1]} are
normalized by their own mean and variance (ghost batch normalization, `training/studies/ghost_normalization.py`),
on {NOISE_ROWS:,} rows; the gradient is of the whole batch throughout.
""",
    verdict="""
Held:

- The noise of the statistics regularizes. From 16 rows down the gap of the loss is narrower than at 64: 0.181 at 16
  rows, 0.164 at 8, 0.111 at 4, after 0.195. At 16 rows the test loss is lower too, by 0.012 ± 0.002; at 8 it is lower
  by 0.019 ± 0.020 and the accuracy higher by 0.5 ± 0.7 points, of which the intervals do not make sure. With more noise
  than that the fit itself suffers, at 4 rows the test loss is higher than at 8, and at 2 rows no gap is left, and of
  the accuracy 72 %.
- With batches of 64 rows normalization regularizes a little: on 5,000 rows the gap of the loss is narrower by 0.033 ±
  0.011 than without, and the test loss is lower by as much. The accuracy is not told apart, 0.1 ± 0.5 points less.

Held not, or not shown:

- That normalization takes Dropout's place. On test rows Dropout gains nothing without normalization either, so that
  nothing was there to take the place of: on 5,000 rows the loss is as it was, 0.000 ± 0.018, and the accuracy not
  higher, 0.65 ± 0.90 points less; on all rows it costs 1.2 ± 0.4 points. In the normalized network it narrows the gap
  of the loss on 5,000 rows, by 0.031 ± 0.028, and the accuracy is not higher either, 0.4 ± 0.6 points less; on all rows
  it costs 1.9 ± 0.4 points in as many steps. Reduced to the last hidden layer it is not told from none on 5,000 rows,
  and costs 0.4 ± 0.3 points on all.
- That normalization is better on test rows after a fit to all of them: the loss is lower by 0.022 ± 0.026 and the
  accuracy higher by 0.7 ± 0.7 points, of which the intervals do not make sure. The gap is not told apart either, 0.001
  ± 0.004.
- That both together suffer from what Dropout does to the statistics. Moving averages see variances that are 1.16 of
  what inference sees, the mean over two layers of which the first has no Dropout before it; but the accuracies by
  either are not told apart, and on 5,000 rows the loss by averages is the lower one, by 0.007 ± 0.005.
""",
    later="""
Luo et al. (2019), "Towards understanding regularization in batch normalization": normalization by batches is, to first
order, normalization by population statistics and a decay of gamma that weakens as batches grow. The noise above does
so, up to where 32 rows are not told from 64. Hoffer et al. (2017), "Train longer, generalize better", use small groups
in large batches to narrow the gap, as here.

Li et al. (2019), "Understanding the disharmony between Dropout and batch normalization by variance shift": the variance
that moving averages keep under Dropout is not that of inference, the shift grows with depth and costs accuracy in deep
networks; Dropout belongs behind the last normalization layer. The shift is here, a cost is not shown, in two layers;
behind the last one there is no shift, a ratio of 1.00. Statistics that are estimated after the fit, without Dropout, as
bntrain does (`docs/statistics.md`), have none of it anywhere.
""",
    steps=1500,
    seeds=3,
    measure=fit_kinds_and_noises,
    show=partial(show_regularization, study=NAME),
)
