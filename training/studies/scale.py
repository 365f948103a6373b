"""This module is the study of scale: what a network makes of weights that are multiplied by a number.

    bntrain study scale --data FOLDER --output docs/studies

5.4 CPU minutes on MNIST, 5 seeds. The identities hold to the last digit, but for eps. With normalization every initial
scale trains, from 97 % down to 80 % where large weights make the effective learning rate small; without, two of seven
do.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from training.studies.data import StudyData
from training.studies.fitting import Plan
from training.studies.networks import draw_gaussian, perceptron
from training.studies.results import Outcome, Results, rounded
from training.studies.scale_figures import show_decay, show_fits, show_identities
from training.studies.scale_fits import WIDTHS, fit_from_scales, fit_with_weight_decay
from training.studies.scale_identities import NO_EPS, Case, expected_departure, measure_departures
from training.studies.study import Shown, Study

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
    for dtype_name, dtype in DTYPES.items():
        for eps_name, eps in EPS.items():
            found = [measure_departures(case, factor, eps=eps, dtype=dtype) for factor in FACTORS]
            yield Outcome(
                condition={"part": "identities", "dtype": dtype_name, "eps": eps_name},
                seed=seed,
                figures={},
                series={
                    "factor": list(FACTORS),
                    "output": rounded(each.output for each in found),
                    "input_gradient": rounded(each.input_gradient for each in found),
                    "weight_gradient": rounded(each.weight_gradient for each in found),
                    "expected": rounded(expected_departure(case, factor, eps=eps) for factor in FACTORS),
                },
            )


def show(results: Results) -> Shown:
    """Where the identities hold, who trains from which scale, and what weight decay does."""
    parts = [part(results, STUDY.name) for part in (show_identities, show_fits, show_decay)]
    plots = {name: figure for part in parts for name, figure in part.plots.items()}
    return Shown(figures="\n\n".join(part.figures for part in parts), plots=plots)


STUDY = Study(
    name="scale",
    title="The scale of the weights",
    claim="""
> Normally, large learning rates may increase the scale of layer parameters, which then amplify the gradient during
> backpropagation and lead to the model explosion. However, with Batch Normalization, backpropagation through a layer
> is unaffected by the scale of its parameters. Indeed, for a scalar a, BN(Wu) = BN((aW)u) and we can show that
> ∂BN((aW)u)/∂u = ∂BN(Wu)/∂u, ∂BN((aW)u)/∂(aW) = 1/a · ∂BN(Wu)/∂W.

Ioffe & Szegedy (2015), section 3.3. The abstract says of it: "be less careful about initialization".
""",
    setup=f"""
1. Identities: the first hidden layer of the perceptron below, {BATCH_ROWS} rows, and a random gradient from behind;
   51 factors from 1e-25 to 1e25, in float64 and float32, with an eps of 1e-5 and with one that is as good as none. What
   the identities demand is computed in float64, at factor 1 and without eps.
2. Initial scale: a perceptron of {len(WIDTHS)} hidden layers of {WIDTHS[0]} rectifiers, on standardized pixels, whose
   hidden weights begin at Glorot's times 1e-3 to 1e3; gradient descent with a learning rate of {LEARNING_RATE:g},
   batches of {BATCH_ROWS} rows. The layer of logits begins at Glorot's always. Statistics are estimated after the fit.
3. Weight decay: the same network in float64, without eps, all of its hidden weights with decay, with a learning rate
   that grows instead, and with neither.
""",
    verdict="""
Held:

- The identities are exact. Without eps they hold in float64 to its last digits for factors from 1e-25 to 1e25, 7e-16 of
  the output, and in float32 to 3e-7 from 1e-19 to 1e18; above that float32 can't hold the variance, and below it loses
  digits of it.
- Over six orders of magnitude of the initial scale the network with normalization always trains, to about 80 %; the
  one without does so from two of the seven scales, 0.1 and 1, and ends with a guess, or in infinities, from the others.
- "Larger weights lead to smaller gradients, and Batch Normalization will stabilize the parameter growth": weights of a
  thousandth of Glorot's grow 400 times, those of a thousand times do not move, 3e-6 of themselves.

Held not:

- With the eps that every library adds, 1e-5, the identities hold from a factor of about 0.1 on alone. Weights of which
  the values have a variance near eps or below it are scaled: the output departs by eps / (2 a² variance) where that is
  small, and by 97 % of itself at 1e-4.
- That initialization does not matter. Accuracy falls from 96.7 % to 80 % at 100 times Glorot's weights, where the
  hidden weights hardly move and gamma, beta and the layer of logits learn alone. The step is the gradient of W divided
  by a, in weights that are a times as large, so the learning rate that counts is a² times as small. Where the rate is
  multiplied by a², all seven scales are one network, and all give 96.7 %. Small weights make the rate that counts so
  large that the first steps throw them far out; eps, which breaks the identities, dampens that where it is not small
  against the variance: at a thousandth it gives 96.7 %, and an eps of 1e-12 only 85 %. At a hundredth it hardly helps:
  94.8 %, two points below Glorot's scale, and 0.5 ± 0.2 above what an eps of 1e-12 gives.
""",
    later="""
Van Laarhoven (2017), "L2 regularization versus batch and weight normalization": nothing is seen of the scale of weights
that are normalized, so weight decay does not regularize them; it raises the effective learning rate, the rate over the
squared norm. Hoffer et al. (2018), "Norm matters", say the same. Arora, Li & Lyu (2019), "Theoretical analysis of auto
rate-tuning by batch normalization", show that with any fixed rate gradient descent on such weights converges, since
their norm grows until the rate that counts fits; that is what the small weights do here.

Li & Arora (2020), "An exponential learning rate schedule for deep learning": weight decay can be replaced by a rate
that grows exponentially. It can: over 1,000 steps the losses of both differ by less than 1e-14 of themselves, while
the rate grows more than sevenfold. What reads as regularization in a recipe is a schedule of learning rates, and who
raises the learning rate of a normalized network by k should know that weights k^(1/2) times as large would undo it.
""",
    steps=1000,
    seeds=5,
    measure=measure,
    show=show,
)
