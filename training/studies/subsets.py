"""This module is the study of subsets: which activations are worth normalizing, on which side of the nonlinearity.

    bntrain study subsets --data FOLDER --output docs/studies

1.9 CPU minutes on MNIST, 3 seeds. Six layers of sigmoids learn with the last one normalized, and do not with the first;
after the nonlinearity is the better side for sigmoids; accuracy does not tell the sides apart for rectifiers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from statistics import fmean

import torch
from matplotlib.figure import Figure
from torch import nn

from models.normalization import Normalization
from training.insert import normalize
from training.normalization import normalization_layers
from training.population import estimate_population_statistics
from training.studies.data import StudyData
from training.studies.dots import draw_dots
from training.studies.fitting import Plan, accuracy, fit
from training.studies.intervals import READING_DIFFERENCES, difference_and_interval, mean_and_interval
from training.studies.markdown import table
from training.studies.networks import draw_gaussian, perceptron
from training.studies.plots import BLUE, ORANGE, PURPLE, label, panels
from training.studies.results import Outcome, Results, Value
from training.studies.study import Shown, Study, plot

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
_HIDDEN = [subset for subset, layers in SUBSETS.items() if layers]

COMPARED = (
    *(((subset, AFTER), (subset, BEFORE)) for subset in _HIDDEN),
    (("input", NOWHERE), ("none", NOWHERE)),
    *(((subset, where), ("none", NOWHERE)) for subset in _HIDDEN for where in (BEFORE, AFTER)),
    *(((subset, where), ("all", where)) for subset in ("last", "every other") for where in (BEFORE, AFTER)),
)
"""Which subsets, each with its side, the page compares seed by seed."""


def measure(data: StudyData, steps: int, seed: int) -> Iterator[Outcome]:
    """Fit with every subset, both nonlinearities and both sides."""
    data, plan = data.standardized(), Plan(steps, BATCH_ROWS, LEARNING_RATE, seed=seed)
    for nonlinearity in NONLINEARITIES:
        for subset, layers in SUBSETS.items():
            for where in (BEFORE, AFTER) if layers else (NOWHERE,):
                network = build(data, nonlinearity, subset, where, seed=seed)
                condition: dict[str, Value] = {"nonlinearity": nonlinearity, "subset": subset, "where": where}
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


def show(results: Results) -> Shown:
    """Accuracy and steps by subset, side and nonlinearity."""
    rows = []
    for subset in results.values("subset"):
        for where in (NOWHERE, BEFORE, AFTER):
            if results.where(subset=subset, where=where):
                cells = [str(subset) if where == NOWHERE else f"{subset}, {where}"]
                for nonlinearity in results.values("nonlinearity"):
                    chosen: dict[str, Value] = {"nonlinearity": nonlinearity, "subset": subset, "where": where}
                    cells.append(mean_and_interval(results.figures("accuracy", **chosen), scale=100))
                    cells.append(mean_and_interval(results.figures("steps_to_target", **chosen), digits=0))
                rows.append(cells)
    header = ["what is normalized"]
    for nonlinearity in results.values("nonlinearity"):
        header += [f"{nonlinearity}: accuracy, %", f"{nonlinearity}: steps to a loss of {TARGET_LOSS:g}"]
    differences = [[f"{_named(one)}, less {_named(other)}", *_compared(results, one, other)] for one, other in COMPARED]
    header_of_differences = ["what is compared"]
    for nonlinearity in results.values("nonlinearity"):
        header_of_differences += [f"{nonlinearity}: accuracy, points", f"{nonlinearity}: steps"]
    says = "Test accuracy by what is normalized, before and after the nonlinearity, for sigmoids and rectifiers"
    parts = [plot(STUDY.name, "accuracy", says), table(header, rows), READING]
    parts += ["### Differences", table(header_of_differences, differences), READING_DIFFERENCES]
    return Shown(figures="\n\n".join(parts), plots={"accuracy": _figure(results)})


def _named(activations: tuple[str, str]) -> str:
    subset, where = activations
    return subset if where == NOWHERE else f"{subset}, {where}"


def _compared(results: Results, one: tuple[str, str], other: tuple[str, str]) -> list[str]:
    cells = []
    for nonlinearity in results.values("nonlinearity"):
        for name, digits, scale in (("accuracy", 2, 100), ("steps_to_target", 0, 1)):
            both = [
                results.figures(name, nonlinearity=nonlinearity, subset=subset, where=where)
                for subset, where in (one, other)
            ]
            cells.append(difference_and_interval(*both, digits=digits, scale=scale))
    return cells


def _figure(results: Results) -> Figure:
    figure, axes = panels(2)
    sides = {NOWHERE: (PURPLE, 0.0, ""), BEFORE: (BLUE, -0.1, "before"), AFTER: (ORANGE, 0.1, "after")}
    for axis, nonlinearity in zip(axes, results.values("nonlinearity"), strict=True):
        for where, (colour, lower, name) in sides.items():
            accuracies = {
                str(subset): [
                    100 * value
                    for value in results.figures("accuracy", nonlinearity=nonlinearity, subset=subset, where=where)
                ]
                for subset in results.values("subset")
            }
            draw_dots(axis, accuracies, name=name, colour=colour, lower=lower)
        label(axis, str(nonlinearity), "test accuracy, %", "")
    return figure


READING = f"""Steps are counted to the end of the first {WINDOW} of them whose mean loss is below {TARGET_LOSS:g}; in
brackets, how many seeds got there. Accuracies are by population statistics of {STATISTICS_ROWS:,} training rows."""

STUDY = Study(
    name="subsets",
    title="Which activations",
    claim="""
> To Batch-Normalize a network, we specify a subset of activations and insert the BN transform for each of them,
> according to Alg. 1.

> We add the BN transform immediately before the nonlinearity, by normalizing x = Wu + b. We could have also normalized
> the layer inputs u, but since u is likely the output of another nonlinearity, the shape of its distribution is likely
> to change during training, and constraining its first and second moments would not eliminate the covariate shift. In
> contrast, Wu + b is more likely to have a symmetric, non-sparse distribution, that is "more Gaussian" (Hyvärinen &
> Oja, 2000); normalizing it is likely to produce activations with a stable distribution.

Ioffe & Szegedy (2015), sections 3.1 and 3.2. Which subset is worth it, the paper does not measure.
""",
    setup=f"""
A perceptron of {len(WIDTHS)} hidden layers of {WIDTHS[0]} sigmoids or rectifiers, on standardized pixels; Glorot's
weights, the same for every subset; batches of {BATCH_ROWS} rows, the same for every subset; gradient descent with a
learning rate of {LEARNING_RATE:g}. `training/insert.py` puts the normalization layers where
the subset says: on the pixels, each by itself; on the first or last hidden layer, on the first, third and fifth, on
all; each before or after the nonlinearity.
""",
    verdict="""
The paper says that a subset may be chosen, and on which side to normalize; it measures neither.

Held:

- Any subset of hidden layers can be normalized, and none is shown to be worse than no normalization. Rectifiers train
  without, to 94.4 %; every other layer normalized gives 1.4 ± 1.0 points more before them and 1.5 ± 1.2 after them,
  which is not told from what all layers give.
- Where a network does not train, which layers are normalized matters more than how many. Six layers of sigmoids stay
  with a guess, 9.8 %, and do so still if the pixels or the first layer are normalized; with the last layer alone they
  reach 92.5 % before and 93.4 % after it. All six give 1.7 ± 0.5 points more than the last alone after the sigmoids;
  before them the two are not told apart.

Held not:

- Before the nonlinearity is not the better side. For sigmoids after it is better with every subset that trains: by 0.8
  points for the last layer, 2.7 for all, 4.7 for every other one, and all layers after reach a loss of 0.4 in 150 steps
  instead of 400. For rectifiers accuracy does not tell the sides apart. Steps do for the first layer alone, 150 after
  and 200 before with every seed; they are counted by 50.
- Normalizing the pixels, each by itself, is not shown to give anything beyond standardizing all of them by one mean and
  one variance, which every network here has: with rectifiers 0.4 ± 2.0 points less, as many steps; with sigmoids a
  guess.

One reason may be that a sigmoid gives values around 0.5, whatever is normalized before it; the next layer takes inputs
that have a common sign. After it their mean is 0, which LeCun et al. (1998), "Efficient BackProp", section 4.3, ask
for.
""",
    later="""
Mishkin, Sergievskiy & Matas (2017), "Systematic evaluation of convolution neural network advances on the ImageNet",
compare both sides on a small CaffeNet and find after the nonlinearity better. Chen et al. (2019), "Rethinking the
usage of batch normalization and Dropout in the training of deep neural networks", argue for right before the weights,
which is after the nonlinearity too. He et al. (2016), "Identity mappings in deep residual networks", normalize and
rectify before the weights of every block, and train a thousand layers so.

Where to normalize is a field of recipes here, see `docs/training.md`.
""",
    steps=600,
    seeds=3,
    measure=measure,
    show=show,
)
