"""This module is what is fitted: sizes at which a trainer's own work shows, and sizes at which it must not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from training.data import Rows, Splits
from training.data.digits import Digits
from training.recipe import Recipe, load_recipe


@dataclass(frozen=True, slots=True)
class Case:
    """A fit to measure.

    Attributes:
        name: Of the case.
        recipe: What is fitted, and how.
        data: To what.
        at_least: The least share of the hand-written loop's rows a second; None where there is no bar.
        what: The case in one line.
    """

    name: str
    what: str
    recipe: Recipe
    at_least: float | None
    data: Callable[[], Splits] = field(repr=False)


def noise(shape: tuple[int, ...], *, train: int, validation: int) -> Splits:
    """Rows of chance in ten classes; what they are does not matter to how fast they are fitted to."""
    generator = torch.Generator().manual_seed(0)

    def rows(count: int) -> Rows:
        values: Tensor = torch.randn(count, *shape, generator=generator)
        return Rows(values, torch.randint(10, (count,), generator=generator))

    return Splits("noise", tuple(map(str, range(10))), rows(train), rows(validation), rows(1))


def _digits() -> Splits:
    return Digits().load()


def _mnist_sized() -> Splits:
    return noise((1, 28, 28), train=3072, validation=512)


def _cifar_sized() -> Splits:
    return noise((3, 32, 32), train=384, validation=64)


def _recipe(**fields: Any) -> Recipe:  # noqa: ANN401  whatever a recipe has
    # whatever it says of the data: a fit is given its rows
    return Recipe(name="measured", data=Digits(), learning_rate=0.01, weight_decay=0.0005, **fields)


CASES = (
    Case(
        "digits",
        "the recipe `digits`: 8x8 images, four convolutions, 32 rows a step, 12 epochs",
        load_recipe("digits", ["epochs=12"]),
        0.8,
        _digits,
    ),
    Case(
        "digits-mlp",
        "the recipe `digits-mlp`: two hidden layers of 128, 64 rows a step, 40 epochs",
        load_recipe("digits-mlp"),
        None,
        _digits,
    ),
    Case(
        "mnist-sized",
        "1x28x28 images, four convolutions of 32 and 64 channels, 128 rows a step, 24 steps and 512 rows of validation",
        _recipe(
            network="convnet",
            arguments={"widths": [32, 32, 64, 64]},
            batch_rows=128,
            epochs=1,
            augment={"shift_pixels": 2},
        ),
        0.95,
        _mnist_sized,
    ),
    Case(
        "resnet18",
        "ResNet-18 for 3x32x32 images, 64 rows a step, 6 steps and 64 rows of validation",
        _recipe(
            network="resnet18",
            arguments={"in_channels": 3, "num_classes": 10, "stem": "small"},
            batch_rows=64,
            epochs=1,
            optimizer="sgd",
        ),
        0.95,
        _cifar_sized,
    ),
)


def case(name: str) -> Case:
    """A case by its name."""
    return next(known for known in CASES if known.name == name)
