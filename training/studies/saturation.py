"""This module is the study of saturating nonlinearities: deep networks of sigmoids and of tanh, and who is saturated.

    bntrain study saturation --data FOLDER --output docs/studies

On MNIST it takes 3 minutes of CPU time.
With normalization all of them learn. Without, tanh may end up saturated; sigmoids begin with gradients that vanish.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import product
from statistics import fmean

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from training.studies.data import StudyData
from training.studies.fitting import Plan, accuracy, fit
from training.studies.intervals import READING_DIFFERENCES, difference_and_interval, mean_and_interval
from training.studies.markdown import table
from training.studies.networks import draw_gaussian, inputs_of, perceptron
from training.studies.plots import BLUE, ORANGE, draw_seeds, label, panels, scale_by_logarithm
from training.studies.results import Outcome, Results, Value, rounded
from training.studies.study import Shown, Study, plot

WIDTHS = (100,) * 8
BATCH_ROWS = 60
LEARNING_RATES = (0.1, 1.0)
SCALES = (1.0, 4.0)
"""Of the first weights, in Glorot's."""
NONLINEARITIES: Mapping[str, type[nn.Module]] = {"sigmoid": nn.Sigmoid, "tanh": nn.Tanh}
SATURATED = 0.1
"""Below this share of its largest derivative a nonlinearity counts as saturated."""
OBSERVED_ROWS = 2000


def measure(data: StudyData, steps: int, seed: int) -> Iterator[Outcome]:
    """Fit every combination, and count who is saturated before and after."""
    data = data.standardized()
    observed = data.test.values[:OBSERVED_ROWS]
    for kind, scale, learning_rate, normalized in product(NONLINEARITIES, SCALES, LEARNING_RATES, (True, False)):
        nonlinearity = NONLINEARITIES[kind]
        network = perceptron(data.in_features, WIDTHS, nonlinearity, normalized=normalized)
        draw_gaussian(network, None, seed=seed)
        _scale_weights(network, scale)
        at_start = saturated_shares(network, nonlinearity, observed)
        gradients = gradient_norms(network, observed, data.test.labels[:OBSERVED_ROWS])
        for _ in fit(network, data.train, Plan(steps, BATCH_ROWS, learning_rate, seed=seed)):
            pass
        reached = accuracy(network, data.test)
        network.train()
        yield Outcome(
            condition={
                "nonlinearity": kind,
                "scale": scale,
                "learning_rate": learning_rate,
                "normalized": normalized,
            },
            seed=seed,
            figures={"accuracy": reached},
            series={
                "saturated_at_start": rounded(at_start),
                "saturated_at_end": rounded(saturated_shares(network, nonlinearity, observed)),
                "gradients_at_start": rounded(gradients),
            },
        )


def saturated_shares(network: nn.Sequential, nonlinearity: type[nn.Module], values: Tensor) -> list[float]:
    """Of every nonlinearity: in which share of rows and units its derivative is below a tenth of its largest."""
    limit = SATURATED * derivative(nonlinearity(), torch.zeros(1))  # where all of these are steepest
    taken = inputs_of(network, nonlinearity, values)
    return [float((derivative(nonlinearity(), inputs) < limit).float().mean()) for inputs in taken]


def derivative(nonlinearity: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
    """Of a function that takes every number by itself, at these numbers."""
    leaves = inputs.detach().requires_grad_()
    return torch.autograd.grad(nonlinearity(leaves).sum(), leaves)[0]


def gradient_norms(network: nn.Sequential, values: Tensor, labels: Tensor) -> list[float]:
    """The norm of the loss's gradient by the weight of every linear layer."""
    weights = [module.weight for module in network if isinstance(module, nn.Linear)]
    kept = {name: buffer.clone() for name, buffer in network.named_buffers()}
    loss = functional.cross_entropy(functional_call(network, kept, (values,)), labels)
    return [float(gradient.norm()) for gradient in torch.autograd.grad(loss, weights)]


@torch.no_grad()
def _scale_weights(network: nn.Sequential, scale: float) -> None:
    for module in network:
        if isinstance(module, nn.Linear):
            module.weight.mul_(scale)


def show(results: Results) -> Shown:
    """Accuracies and shares as a table, layer by layer as plots."""
    rows = []
    for kind, scale, rate in product(*(results.values(name) for name in ("nonlinearity", "scale", "learning_rate"))):
        cells = [f"{kind}, {scale:g}, {rate:g}"]
        for normalized in (True, False):
            chosen = {"nonlinearity": kind, "scale": scale, "learning_rate": rate, "normalized": normalized}
            cells.append(mean_and_interval(results.figures("accuracy", **chosen), digits=1, scale=100))
            for name in ("saturated_at_start", "saturated_at_end"):
                shares = [sum(layers) / len(layers) for layers in results.series(name, **chosen)]
                cells.append(mean_and_interval(shares, digits=1, scale=100))
        chosen = {"nonlinearity": kind, "scale": scale, "learning_rate": rate}
        both = [results.figures("accuracy", normalized=normalized, **chosen) for normalized in (True, False)]
        rows.append([*cells, difference_and_interval(*both, digits=1, scale=100)])
    header = ["nonlinearity, scale of weights, learning rate"]
    for network in ("with", "without"):
        header += [f"{network}: accuracy, %", f"{network}: saturated at the start, %", f"{network}: at the end, %"]
    header.append("with less without: accuracy, points")
    plots = {"saturated": _saturated(results), "gradients": _gradients(results)}
    says = {
        "saturated": "Share of saturated units per layer at the end of the fit, with and without batch normalization",
        "gradients": "Norm of the gradient by every layer's weight at the start, with and without batch normalization",
    }
    parts = [plot(STUDY.name, name, words) for name, words in says.items()]
    return Shown(figures="\n\n".join((*parts, table(header, rows), READING)), plots=plots)


def _saturated(results: Results) -> Figure:
    """At the end, by the learning rate with which each network got furthest."""
    figure, axes = panels(len(SCALES), len(NONLINEARITIES), share_y=True)
    for axis, (kind, scale) in zip(axes, product(NONLINEARITIES, SCALES), strict=True):
        for normalized, name, colour in ((True, "with", BLUE), (False, "without", ORANGE)):
            chosen: dict[str, Value] = {"nonlinearity": kind, "scale": scale, "normalized": normalized}
            chosen["learning_rate"] = best_rate(results, **chosen)
            shares = [[100 * share for share in seed] for seed in results.series("saturated_at_end", **chosen)]
            draw_seeds(axis, range(1, len(WIDTHS) + 1), shares, name=name, colour=colour)
        axis.set_ylim(0, 100)
        label(axis, f"{kind}, {scale:g} times Glorot's weights", "hidden layer", "saturated at the end, %")
    return figure


def _gradients(results: Results) -> Figure:
    figure, axes = panels(len(SCALES), len(NONLINEARITIES), share_y=True)
    rate = results.values("learning_rate")[0]  # of which the start knows nothing
    for axis, (kind, scale) in zip(axes, product(NONLINEARITIES, SCALES), strict=True):
        for normalized, name, colour in ((True, "with", BLUE), (False, "without", ORANGE)):
            norms = results.series(
                "gradients_at_start", nonlinearity=kind, scale=scale, normalized=normalized, learning_rate=rate
            )
            draw_seeds(axis, range(1, len(WIDTHS) + 2), norms, name=name, colour=colour, logarithmic=True)
        scale_by_logarithm(axis, y=True)
        label(axis, f"{kind}, {scale:g} times Glorot's weights", "layer", "norm of the first gradient")
    return figure


def best_rate(results: Results, **condition: Value) -> Value:
    """The learning rate with the highest mean accuracy."""
    return max(
        results.values("learning_rate"),
        key=lambda rate: fmean(results.figures("accuracy", learning_rate=rate, **condition)),
    )


READING = f"""Saturated: the nonlinearity's derivative is below {SATURATED:g} of its largest, which is beyond ±3.64 for
a sigmoid and beyond ±1.82 for tanh. Shares are over {OBSERVED_ROWS:,} test rows, all units and, in the table, all
layers. The plot of shares is of the learning rate with which each network got furthest.

{READING_DIFFERENCES}"""

STUDY = Study(
    name="saturation",
    title="Saturating nonlinearities",
    claim="""
> Finally, Batch Normalization makes it possible to use saturating nonlinearities by preventing the network from getting
> stuck in the saturated modes.

Ioffe & Szegedy (2015), section 1. In section 4.2.2 Inception with sigmoids reaches 69.8 % with batch
normalization; without, it is never better than chance, 1 in 1000.
""",
    setup=f"""
Perceptrons of {len(WIDTHS)} hidden layers of {WIDTHS[0]} sigmoids or tanh, on standardized pixels, with and without
normalization; weights from Glorot's Gaussian, or {SCALES[1]:g} times as large, the same for both; batches of
{BATCH_ROWS} rows, the same for both; gradient descent with learning rates of {LEARNING_RATES[0]:g} and
{LEARNING_RATES[1]:g}.
""",
    verdict="""
**Held: saturating nonlinearities can be used.** With normalization every network learns, to 91.9 % and more: sigmoid or
tanh, with weights of both scales and at both learning rates. Few units are saturated, 7 % of all at most, before the
fit and after it. The scale of the first weights makes no difference to that at the start, as it can't.

**Held for tanh: without, it ends in saturated modes.** At the higher learning rate, or with large weights, most units
end up saturated, almost all in the worst case, and accuracy is that of a guess or far behind, by 16 ± 10 points.

**Not held for sigmoids: saturation alone is not what stops them.** With Glorot's weights and the lower learning rate,
the network without normalization ends with a guess, though next to none of its units is saturated. The first gradients
point to why: from the last layer to the first they shrink by about four a layer, to less than a ten-thousandth. With
weights four times as large they shrink by about one and a half a layer, to about a thirtieth, and that network learns,
to about 90 %, with a sixth of its units saturated and more. With normalization the first gradients of all hidden layers
are within a factor of three. At the higher rate it ends with a guess too, and there a third to two thirds of the last
hidden layer are saturated.

**Not shown to be needed.** With tanh, Glorot's weights and the lower learning rate both networks are as accurate, but
for 0.3 ± 0.3 points; with sigmoids, the large weights and the higher rate three seeds do not tell, 4.1 ± 6.4.
""",
    later="""
- Glorot & Bengio (2010), "Understanding the difficulty of training deep feedforward neural networks": before
  normalization, the same two failures. A sigmoid's mean of 1/2 drives the last hidden layer into saturation, which
  networks of some depth do not leave; and with each layer gradients shrink or grow by a factor that the first weights
  set, which is what Glorot's deviation is made for.
- Pennington, Schoenholz & Ganguli (2017), "Resurrecting the sigmoid in deep learning through dynamical isometry",
  arXiv 1711.04735: tanh networks with orthogonal first weights learn at great depth without any normalization, and
  outdo rectifiers. Normalization is one way to use saturating nonlinearities, not the only one.
- Yang et al. (2019), "A Mean Field Theory of Batch Normalization", arXiv 1902.08129: behind many normalized layers
  without skip connections gradients explode at the start, and no choice of first weights or nonlinearity cures that.
  Eight layers are too few to show it.
""",
    steps=1000,
    seeds=3,
    measure=measure,
    show=show,
)
