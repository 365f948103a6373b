"""This module lists the ways for normalization layers to stand in a network, and what is to become of each layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.training.examples import Forward

IMAGE, SEQUENCE, VOLUME = (4, 7, 7), (4, 9), (4, 5, 5, 5)


@dataclass(frozen=True)
class Placement:
    """A network with normalization layers.

    Attributes:
        make: Makes the network.
        row: The shape of one row.
        folded: The module that each folded layer goes into.
        kept: What the reason of each other layer says.
    """

    make: Callable[[], nn.Module]
    row: tuple[int, ...]
    folded: Mapping[str, str] = field(default_factory=dict)
    kept: Mapping[str, str] = field(default_factory=dict)


class Branches(nn.Module):
    """Networks that each take the first values of a row in a shape of their own, and end in the same vector."""

    def __init__(self, placements: Mapping[str, Placement]) -> None:
        super().__init__()
        self.rows = {name: placement.row for name, placement in placements.items()}
        for name, placement in placements.items():
            self.add_module(name, placement.make())

    def forward(self, rows: Tensor) -> Tensor:
        """Everything that the branches give, side by side."""
        parts = [(getattr(self, name), rows[:, : math.prod(row)].reshape(-1, *row)) for name, row in self.rows.items()]
        return torch.cat([branch(values).flatten(1) for branch, values in parts], dim=1)


def side_by_side(**placements: Placement) -> Placement:
    """Many placements in one network: half of what an export costs does not depend on how much it exports."""
    return Placement(
        make=lambda: Branches(placements),
        row=(max(math.prod(placement.row) for placement in placements.values()),),
        folded={
            f"{name}.{layer}": f"{name}.{into}".rstrip(".")
            for name, placement in placements.items()
            for layer, into in placement.folded.items()
        },
        kept={
            f"{name}.{layer}": why for name, placement in placements.items() for layer, why in placement.kept.items()
        },
    )


def behind(layer: Callable[[], nn.Module], norm: Callable[[], nn.Module], row: tuple[int, ...]) -> Placement:
    """A layer, the normalization layer that is folded into it, and a ReLU."""
    return Placement(lambda: nn.Sequential(layer(), norm(), nn.ReLU()), row, {"1": "0"})


def tied() -> nn.Module:
    """Two convolutions that have the same parameters, each with a normalization layer of its own."""
    c1, c2 = nn.Conv2d(4, 6, 3), nn.Conv2d(4, 6, 3)
    c2.weight, c2.bias = c1.weight, c1.bias
    return Forward(
        lambda net, x: net.n1(net.c1(x)) + net.n2(net.c2(x)),
        c1=c1,
        c2=c2,
        n1=nn.BatchNorm2d(6),
        n2=nn.BatchNorm2d(6),
    )


CONVOLUTIONS = side_by_side(
    conv1d=behind(lambda: nn.Conv1d(4, 6, 3), lambda: nn.BatchNorm1d(6), SEQUENCE),
    conv1d_stride_padding=behind(
        lambda: nn.Conv1d(4, 6, 3, stride=2, padding=1, bias=False), lambda: nn.BatchNorm1d(6), SEQUENCE
    ),
    conv2d=behind(lambda: nn.Conv2d(4, 6, 3), lambda: nn.BatchNorm2d(6), IMAGE),
    conv2d_padding=behind(lambda: nn.Conv2d(4, 6, 3, padding=1, bias=False), lambda: nn.BatchNorm2d(6), IMAGE),
    conv2d_stride_dilation=behind(lambda: nn.Conv2d(4, 6, 3, stride=2, dilation=2), lambda: nn.BatchNorm2d(6), IMAGE),
    conv2d_circular=behind(
        lambda: nn.Conv2d(4, 6, 3, padding=1, padding_mode="circular"), lambda: nn.BatchNorm2d(6), IMAGE
    ),
    conv2d_grouped=behind(lambda: nn.Conv2d(4, 6, 3, groups=2), lambda: nn.BatchNorm2d(6), IMAGE),
    conv2d_depthwise=behind(lambda: nn.Conv2d(4, 8, 3, groups=4, bias=False), lambda: nn.BatchNorm2d(8), IMAGE),
    conv2d_fixed_scale=behind(lambda: nn.Conv2d(4, 6, 3), lambda: nn.BatchNorm2d(6, affine=False), IMAGE),
    conv2d_large_eps=behind(lambda: nn.Conv2d(4, 6, 3), lambda: nn.BatchNorm2d(6, eps=0.5), IMAGE),
    conv3d_grouped=behind(lambda: nn.Conv3d(4, 6, 2, groups=2), lambda: nn.BatchNorm3d(6), VOLUME),
)

TRANSPOSED_CONVOLUTIONS = side_by_side(
    conv1d_stride=behind(lambda: nn.ConvTranspose1d(4, 6, 3, stride=2), lambda: nn.BatchNorm1d(6), SEQUENCE),
    conv2d=behind(lambda: nn.ConvTranspose2d(4, 6, 3, bias=False), lambda: nn.BatchNorm2d(6), IMAGE),
    conv2d_grouped=behind(
        lambda: nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2),
        lambda: nn.BatchNorm2d(6),
        IMAGE,
    ),
    conv2d_depthwise=behind(
        lambda: nn.ConvTranspose2d(4, 4, 3, groups=4, bias=False), lambda: nn.BatchNorm2d(4), IMAGE
    ),
    conv3d_grouped=behind(lambda: nn.ConvTranspose3d(4, 6, 2, groups=2), lambda: nn.BatchNorm3d(6), VOLUME),
)

LINEAR_LAYERS = side_by_side(
    linear=behind(lambda: nn.Linear(5, 6), lambda: nn.BatchNorm1d(6), (5,)),
    no_bias=behind(lambda: nn.Linear(5, 6, bias=False), lambda: nn.BatchNorm1d(6), (5,)),
    one_output=behind(lambda: nn.Linear(5, 1), lambda: nn.BatchNorm1d(1), (5,)),
    fixed_scale=behind(lambda: nn.Linear(5, 6, bias=False), lambda: nn.BatchNorm1d(6, affine=False), (5,)),
    weighed_terms=Placement(
        lambda: Forward(
            lambda net, x: net.norm(torch.addmm(net.shift, x, net.matrix, beta=0.5, alpha=2.0)).relu(),
            matrix=nn.Parameter(torch.randn(5, 6)),
            shift=nn.Parameter(torch.randn(6)),
            norm=nn.BatchNorm1d(6),
        ),
        (5,),
        {"norm": ""},  # the matrix belongs to the network itself
    ),
)

SHARED_WEIGHTS = side_by_side(
    both_uses_normalized=Placement(
        lambda: Forward(
            lambda net, x: net.n1(net.conv(x)).relu() + net.n2(net.conv(2 * x)),
            conv=nn.Conv2d(4, 6, 3),
            n1=nn.BatchNorm2d(6),
            n2=nn.BatchNorm2d(6),
        ),
        IMAGE,
        {"n1": "conv", "n2": "conv"},
    ),
    one_use_normalized=Placement(
        lambda: Forward(
            lambda net, x: net.norm(net.conv(x)).relu() + net.conv(2 * x),
            conv=nn.Conv2d(4, 6, 3),
            norm=nn.BatchNorm2d(6),
        ),
        IMAGE,
        {"norm": "conv"},
    ),
    same_parameters=Placement(tied, IMAGE, {"n1": "c1", "n2": "c2"}),
)

NOT_BEHIND_WEIGHTS = side_by_side(
    relu=Placement(
        lambda: nn.Sequential(nn.Conv2d(4, 6, 3), nn.ReLU(), nn.BatchNorm2d(6)), IMAGE, kept={"2": "1 (Relu)"}
    ),
    relu_then_padded_convolution=Placement(
        lambda: nn.Sequential(
            nn.Linear(5, 6), nn.ReLU(), nn.BatchNorm1d(6), nn.Unflatten(1, (6, 1)), nn.Conv1d(6, 2, 3, padding=1)
        ),
        (5,),
        kept={"2": "1 (Relu)"},
    ),
    concatenation=Placement(
        lambda: Forward(
            lambda net, x: net.norm(torch.cat([net.a(x), net.b(x)], dim=1)),
            a=nn.Conv2d(4, 2, 3),
            b=nn.Conv2d(4, 3, 3),
            norm=nn.BatchNorm2d(5),
        ),
        IMAGE,
        kept={"norm": "(Concat)"},
    ),
    average_pool=Placement(
        lambda: nn.Sequential(nn.Conv2d(4, 6, 3), nn.AvgPool2d(2), nn.BatchNorm2d(6)),
        IMAGE,
        kept={"2": "1 (AveragePool)"},
    ),
    positions=Placement(  # as many as the linear layer has outputs, which misleads other folders
        lambda: nn.Sequential(nn.Linear(9, 4), nn.BatchNorm1d(4)),
        SEQUENCE,
        kept={"1": "neither a convolution nor a linear layer on rows"},
    ),
    skip_connection=Placement(
        lambda: nn.Sequential(nn.Conv2d(4, 6, 3), Forward(lambda net, y: net.norm(y) + y, norm=nn.BatchNorm2d(6))),
        IMAGE,
        kept={"1.norm": "0 is also used without normalization"},
    ),
    two_of_one_output=Placement(
        lambda: nn.Sequential(
            nn.Conv2d(4, 6, 3),
            Forward(lambda net, y: net.n1(y).relu() + net.n2(y), n1=nn.BatchNorm2d(6), n2=nn.BatchNorm2d(6)),
        ),
        IMAGE,
        kept={"1.n1": "The output of two_of_one_output.0 is also", "1.n2": "The output of two_of_one_output.0 is also"},
    ),
    computed_weights=Placement(
        lambda: Forward(
            lambda net, x: net.norm(functional.linear(x, net.matrix * x.mean())).relu(),
            matrix=nn.Parameter(torch.randn(6, 5)),
            norm=nn.BatchNorm1d(6),
        ),
        (5,),
        kept={"norm": "are computed, not constant"},
    ),
)

PLACEMENTS: Mapping[str, Placement] = {
    "behind convolutions": CONVOLUTIONS,
    "behind a convolution of volumes without bias": behind(
        lambda: nn.Conv3d(4, 6, 2, bias=False), lambda: nn.BatchNorm3d(6), VOLUME
    ),
    "behind transposed convolutions": TRANSPOSED_CONVOLUTIONS,
    "behind linear layers": LINEAR_LAYERS,
    "behind weights that are used twice": SHARED_WEIGHTS,
    "behind a dropout, which is nothing at inference": Placement(
        lambda: nn.Sequential(nn.Conv2d(4, 6, 3), nn.Dropout(), nn.BatchNorm2d(6), nn.ReLU()), IMAGE, {"2": "0"}
    ),
    "at the output of a part of a part": Placement(
        lambda: nn.Sequential(nn.Sequential(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6))), IMAGE, {"0.1": "0.0"}
    ),
    "first": Placement(
        lambda: nn.Sequential(nn.BatchNorm2d(4), nn.Conv2d(4, 6, 3)), IMAGE, kept={"0": "no weights come before it"}
    ),
    "not behind weights": NOT_BEHIND_WEIGHTS,
}
