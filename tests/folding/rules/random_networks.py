"""This module makes random networks: any operators behind one another, joined, added, pooled, read by several.

A network is a list of steps. Each takes one or two of the tensors so far, chosen by numbers, and adds one. What nothing
reads in the end is an output.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.folding.rules.placements import positive

CHANNELS = 4


def _convolution(**options: object) -> Callable[[], nn.Module]:
    return lambda: nn.Conv2d(CHANNELS, CHANNELS, **options)  # type: ignore[arg-type]


class _TokenNorm(nn.Module):
    """Normalizes the features of tokens ``(rows, tokens, features)``."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(CHANNELS)

    def forward(self, tokens: Tensor) -> Tensor:
        """The features as channels, and back."""
        normalized: Tensor = self.norm(tokens.transpose(1, 2)).transpose(1, 2)
        return normalized


class _Tokenize(nn.Module):
    def forward(self, image: Tensor) -> Tensor:
        """Pixels as tokens."""
        return image.flatten(2).transpose(1, 2)


class _Average(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        """Over all pixels, or all tokens."""
        return values.mean((2, 3)) if values.ndim == 4 else values.mean(1)


ON_IMAGES: Mapping[str, Callable[[], nn.Module]] = {
    "norm": lambda: nn.BatchNorm2d(CHANNELS),
    "norm again": lambda: nn.BatchNorm2d(CHANNELS),
    "positive norm": lambda: positive(nn.BatchNorm2d(CHANNELS)),
    "fixed norm": lambda: nn.BatchNorm2d(CHANNELS, affine=False, eps=1e-3),
    "convolution": _convolution(kernel_size=1),
    "padded": _convolution(kernel_size=3, padding=1, bias=False),
    "grouped": _convolution(kernel_size=3, padding=1, groups=2),
    "depthwise": _convolution(kernel_size=1, groups=CHANNELS, bias=False),
    "transposed": lambda: nn.ConvTranspose2d(CHANNELS, CHANNELS, 3, padding=1, groups=2),
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "leaky": nn.LeakyReLU,
    "tanh": nn.Tanh,
    "average pool": lambda: nn.AvgPool2d(3, stride=1, padding=1),
    "average pool without padding": lambda: nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False),
    "maximum pool": lambda: nn.MaxPool2d(3, stride=1, padding=1),
    "dropout": nn.Dropout,
}
ON_TOKENS: Mapping[str, Callable[[], nn.Module]] = {
    "norm": _TokenNorm,
    "norm of positions": lambda: nn.BatchNorm1d(36),
    "linear": lambda: nn.Linear(CHANNELS, CHANNELS),
    "linear without bias": lambda: nn.Linear(CHANNELS, CHANNELS, bias=False),
    "relu": nn.ReLU,
}
ON_VECTORS: Mapping[str, Callable[[], nn.Module]] = {
    "norm": lambda: nn.BatchNorm1d(CHANNELS),
    "positive norm": lambda: positive(nn.BatchNorm1d(CHANNELS)),
    "linear": lambda: nn.Linear(CHANNELS, CHANNELS),
    "linear without bias": lambda: nn.Linear(CHANNELS, CHANNELS, bias=False),
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
}


@dataclass(frozen=True)
class Step:
    """One operator and what it takes: ``first`` and ``second`` count back from the newest tensor of its kind.

    Attributes:
        kind: What it takes: ``image``, ``tokens`` or ``vector``.
        operator: A name of the tables above; ``add`` or ``join`` of two tensors; ``tokenize`` or ``average``, which
            change the kind.
        first: Which tensor.
        second: Which other, where it takes two.
    """

    kind: str
    operator: str
    first: int
    second: int


OPERATORS = {"image": ON_IMAGES, "tokens": ON_TOKENS, "vector": ON_VECTORS}
TWO = ("add", "join")
CHANGES = {"tokenize": ("image", "tokens"), "average": ("image", "vector"), "average tokens": ("tokens", "vector")}


@st.composite
def programs(draw: st.DrawFn) -> list[Step]:
    """Steps of a network with at least three normalization layers."""
    steps: list[Step] = []
    kinds = ["image"]
    for _ in range(draw(st.integers(6, 16))):
        kind = draw(st.sampled_from(kinds))
        changes = [name for name, (source, _) in CHANGES.items() if source == kind]
        norms = [name for name in OPERATORS[kind] if "norm" in name]
        names = [*OPERATORS[kind], *norms, *TWO, *changes]
        operator = draw(st.sampled_from(names))
        steps.append(Step(kind, operator, draw(st.integers(0, 2)), draw(st.integers(0, 3))))
        given = CHANGES[operator][1] if operator in CHANGES else kind
        if given not in kinds:
            kinds.append(given)
    steps += [Step("image", "norm", draw(st.integers(0, 2)), 0) for _ in range(3)]
    return steps


class RandomNetwork(nn.Module):
    """What a program says, on images of shape ``(rows, 4, 6, 6)``."""

    def __init__(self, program: list[Step]) -> None:
        super().__init__()
        self.program = program
        self.layers = nn.ModuleList(self._layer(step) for step in program)

    @staticmethod
    def _layer(step: Step) -> nn.Module:
        if step.operator in TWO:
            # what joins two gives as many channels as each of them had
            sizes = (2 * CHANNELS, CHANNELS)
            if step.operator == "add":
                return nn.Identity()
            return nn.Conv2d(*sizes, 1) if step.kind == "image" else nn.Linear(*sizes)
        if step.operator in CHANGES:
            return _Tokenize() if step.operator == "tokenize" else _Average()
        return OPERATORS[step.kind][step.operator]()

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Every tensor that nothing reads."""
        tensors: dict[str, list[Tensor]] = {"image": [image], "tokens": [], "vector": []}
        read: set[tuple[str, int]] = {("image", 0)}
        for step, layer in zip(self.program, self.layers, strict=True):
            known = tensors[step.kind]
            indices = [len(known) - 1 - number % len(known) for number in (step.first, step.second)]
            first, second = (known[index] for index in indices)
            if step.operator == "add":
                given = first + second
            elif step.operator == "join":
                given = layer(torch.cat([first, second], dim=1 if step.kind == "image" else -1))
            else:
                given = layer(first)
            read.update((step.kind, index) for index in indices[: 2 if step.operator in TWO else 1])
            tensors[CHANGES[step.operator][1] if step.operator in CHANGES else step.kind].append(given)
        places = [(kind, index) for kind, known in tensors.items() for index in range(len(known))]
        return tuple(tensors[kind][index] for kind, index in places if (kind, index) not in read)
