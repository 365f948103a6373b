"""This module lists the ways for normalization layers to stand in a network, and what is to become of each layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.manifest import FoldMode
from tests.training.examples import Forward

IMAGE, SEQUENCE, VOLUME = (4, 7, 7), (4, 9), (4, 5, 5, 5)


@dataclass(frozen=True)
class Placement:
    """A network with normalization layers.

    Attributes:
        make: Makes the network.
        row: The shape of one row.
        fast: What is to become of each layer by default: its placement, then where it went, or a part of why not.
        complete: The same for the layers that come out otherwise where everything is folded.
    """

    make: Callable[[], nn.Module]
    row: tuple[int, ...]
    fast: Mapping[str, str] = field(default_factory=dict)
    complete: Mapping[str, str] = field(default_factory=dict)

    def verdicts(self, mode: FoldMode) -> Mapping[str, str]:
        """What is to become of each layer."""
        return self.fast if mode == "fast" else {**self.fast, **self.complete}


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

    def joined(mode: Callable[[Placement], Mapping[str, str]]) -> dict[str, str]:
        return {
            f"{name}.{layer}": _prefixed(name, verdict)
            for name, placement in placements.items()
            for layer, verdict in mode(placement).items()
        }

    return Placement(
        make=lambda: Branches(placements),
        row=(max(math.prod(placement.row) for placement in placements.values()),),
        fast=joined(lambda placement: placement.fast),
        complete=joined(lambda placement: placement.complete),
    )


def _prefixed(name: str, verdict: str) -> str:
    """A verdict whose module names, after the placement and a space, are below a branch."""
    placement, _, detail = verdict.partition(" ")
    if placement in ("kept", "affine"):
        return verdict
    return f"{placement} " + ", ".join(f"{name}.{into}".rstrip(".") for into in detail.split(", "))


class Unshifted(nn.BatchNorm1d):
    """A normalization layer that only scales, whatever its random parameters."""

    unshifted = True


def positive(layer: nn.Module) -> nn.Module:
    """A normalization layer whose random gamma will be positive."""
    layer.positive = True  # type: ignore[assignment]
    return layer


def behind(layer: Callable[[], nn.Module], norm: Callable[[], nn.Module], row: tuple[int, ...]) -> Placement:
    """A layer, the normalization layer that is folded into it, and a ReLU."""
    return Placement(lambda: nn.Sequential(layer(), norm(), nn.ReLU()), row, {"1": "folded-backward 0"})


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
        {"norm": "folded-backward "},  # the matrix belongs to the network itself
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
        {"n1": "folded-backward conv", "n2": "folded-backward conv"},
    ),
    one_use_normalized=Placement(
        lambda: Forward(
            lambda net, x: net.norm(net.conv(x)).relu() + net.conv(2 * x),
            conv=nn.Conv2d(4, 6, 3),
            norm=nn.BatchNorm2d(6),
        ),
        IMAGE,
        {"norm": "folded-backward conv"},
    ),
    same_parameters=Placement(tied, IMAGE, {"n1": "folded-backward c1", "n2": "folded-backward c2"}),
)

TOKENS = side_by_side(
    transposed=Placement(
        lambda: Forward(
            lambda net, x: net.norm(net.linear(x).transpose(1, 2)).transpose(1, 2).relu(),
            linear=nn.Linear(9, 6),
            norm=nn.BatchNorm1d(6),
        ),
        SEQUENCE,
        {"norm": "folded-backward linear"},
    ),
    transposed_without_bias=Placement(
        lambda: Forward(
            lambda net, x: net.norm(net.linear(x).transpose(1, 2)).relu(),
            linear=nn.Linear(9, 6, bias=False),
            norm=nn.BatchNorm1d(6),
        ),
        SEQUENCE,
        {"norm": "folded-backward linear"},
    ),
    as_rows=Placement(  # as in LeViT (Graham et al. 2021)
        lambda: Forward(
            lambda net, x: net.norm(net.linear(x).flatten(0, 1)).unflatten(0, (-1, 4)).relu(),
            linear=nn.Linear(9, 6, bias=False),
            norm=nn.BatchNorm1d(6),
        ),
        SEQUENCE,
        {"norm": "folded-backward linear"},
    ),
    product=Placement(
        lambda: Forward(
            lambda net, x: torch.tanh(net.norm(x @ net.matrix)),
            matrix=nn.Parameter(torch.randn(5, 6)),
            norm=nn.BatchNorm1d(6),
        ),
        (5,),
        {"norm": "folded-backward "},
    ),
    product_normalized_twice=Placement(
        lambda: Forward(
            lambda net, x: torch.tanh(net.second(net.first(x @ net.matrix))),
            matrix=nn.Parameter(torch.randn(5, 6)),
            first=Unshifted(6),
            second=nn.BatchNorm1d(6),
        ),
        (5,),
        {"first": "folded-backward ", "second": "folded-backward "},
    ),
    before=Placement(
        lambda: Forward(
            lambda net, x: net.linear(net.norm(x.transpose(1, 2)).transpose(1, 2)).relu(),
            norm=nn.BatchNorm1d(9),
            linear=nn.Linear(9, 6),
        ),
        SEQUENCE,
        {"norm": "folded-forward linear"},
    ),
    positions=Placement(  # as many as the linear layer has outputs, which misleads other folders
        lambda: nn.Sequential(nn.Linear(9, 4), nn.BatchNorm1d(4)),
        SEQUENCE,
        {"1": "kept along another axis than the weights' channels"},
        {"1": "affine as a product and a sum"},
    ),
)

POOLED = side_by_side(
    average=Placement(
        lambda: nn.Sequential(nn.Conv2d(4, 6, 3), nn.AvgPool2d(2), nn.BatchNorm2d(6)), IMAGE, {"2": "folded-backward 0"}
    ),
    average_with_padding=Placement(
        lambda: nn.Sequential(nn.Conv2d(4, 6, 3), nn.AvgPool2d(2, padding=1), nn.BatchNorm2d(6)),
        IMAGE,
        {"2": "kept counts its padding"},
        {"2": "affine Its scale went into pooled.average_with_padding.0, a sum stayed"},
    ),
    average_without_its_padding=Placement(
        lambda: nn.Sequential(
            nn.Conv2d(4, 6, 3), nn.AvgPool2d(2, padding=1, count_include_pad=False), nn.BatchNorm2d(6)
        ),
        IMAGE,
        {"2": "folded-backward 0"},
    ),
    global_and_flattened=Placement(
        lambda: nn.Sequential(nn.Conv2d(4, 6, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.BatchNorm1d(6), nn.ReLU()),
        IMAGE,
        {"3": "folded-backward 0"},
    ),
    global_mean=Placement(
        lambda: Forward(
            lambda net, x: net.norm(net.conv(x).mean((2, 3))).relu(), conv=nn.Conv2d(4, 6, 3), norm=nn.BatchNorm1d(6)
        ),
        IMAGE,
        {"norm": "folded-backward conv"},
    ),
    one_pixel_flattened=Placement(
        lambda: nn.Sequential(nn.Conv2d(4, 6, 7), nn.Flatten(), nn.BatchNorm1d(6), nn.ReLU()),
        IMAGE,
        {"2": "folded-backward 0"},
    ),
    pixels_flattened=Placement(  # every pixel has statistics of its own
        lambda: nn.Sequential(nn.Conv2d(4, 2, 5), nn.Flatten(), nn.BatchNorm1d(18), nn.Tanh()),
        IMAGE,
        {"2": "kept along another axis"},
        {"2": "affine as a product and a sum"},
    ),
    maximum_of_positive_scales=Placement(
        lambda: nn.Sequential(nn.Conv2d(4, 6, 3), nn.MaxPool2d(2, padding=1), positive(nn.BatchNorm2d(6)), nn.ReLU()),
        IMAGE,
        {"2": "folded-backward 0"},
    ),
    maximum_of_any_scales=Placement(
        lambda: nn.Sequential(nn.Conv2d(4, 6, 3), nn.MaxPool2d(2), nn.BatchNorm2d(6), nn.Tanh()),
        IMAGE,
        {"2": "kept commutes with no negative scale"},
        {"2": "affine as a product and a sum"},
    ),
    enlarged=Placement(
        lambda: nn.Sequential(nn.Conv2d(4, 6, 3), nn.Upsample(scale_factor=2), nn.BatchNorm2d(6), nn.ReLU()),
        IMAGE,
        {"2": "folded-backward 0"},
    ),
)

BRANCHES = side_by_side(
    joined=Placement(
        lambda: Forward(
            lambda net, x: net.norm(torch.cat([net.a(x), net.b(x)], dim=1)).relu(),
            a=nn.Conv2d(4, 2, 3),
            b=nn.Conv2d(4, 3, 3),
            norm=nn.BatchNorm2d(5),
        ),
        IMAGE,
        {"norm": "split a, b"},
    ),
    joined_vectors=Placement(
        lambda: Forward(
            lambda net, x: net.norm(torch.cat([net.a(x), net.b(x), net.a(-x)], dim=1)).relu(),
            a=nn.Linear(5, 2),
            b=nn.Linear(5, 3, bias=False),
            norm=nn.BatchNorm1d(7),
        ),
        (5,),
        {"norm": "split a, b"},
    ),
    joined_after_normalization=Placement(
        lambda: Forward(
            lambda net, x: net.norm(torch.cat([net.first(net.a(x)), net.b(x)], dim=1)).relu(),
            a=nn.Conv2d(4, 2, 3),
            first=nn.BatchNorm2d(2),
            b=nn.Conv2d(4, 3, 3),
            norm=nn.BatchNorm2d(5),
        ),
        IMAGE,
        {"first": "folded-backward a", "norm": "split a, b"},
    ),
    joined_with_what_others_read=Placement(  # as in DenseNet (Huang et al. 2017)
        lambda: Forward(
            lambda net, x: (
                net.head(net.norm(torch.cat([(a := net.a(x)), net.b(x)], dim=1)).relu()).mean((2, 3)) + a.mean((2, 3))
            ),
            a=nn.Conv2d(4, 2, 3),
            b=nn.Conv2d(4, 3, 3),
            norm=nn.BatchNorm2d(5),
            head=nn.Conv2d(5, 2, 1),
        ),
        IMAGE,
        {"norm": "kept a is also used without normalization"},
        {"norm": "folded-forward head"},
    ),
    one_branch_normalized=Placement(
        lambda: Forward(
            lambda net, x: net.head(torch.cat([net.norm(x.tanh()), x.sigmoid()], dim=1)),
            norm=nn.BatchNorm2d(4),
            head=nn.Conv2d(8, 3, 3),
        ),
        IMAGE,
        {"norm": "folded-forward head"},
    ),
    added=Placement(
        lambda: Forward(
            lambda net, x: net.norm(net.a(x) + net.b(x)).relu(),
            a=nn.Conv2d(4, 6, 3),
            b=nn.Conv2d(4, 6, 3, bias=False),
            norm=nn.BatchNorm2d(6),
        ),
        IMAGE,
        {"norm": "split a, b"},
    ),
    shift_goes_through_a_sum=Placement(
        lambda: Forward(
            lambda net, x: net.head(net.norm(net.a(x).relu()) + net.b(x)),
            a=nn.Conv2d(4, 6, 3),
            norm=positive(nn.BatchNorm2d(6)),
            b=nn.Conv2d(4, 6, 3),
            head=nn.Conv2d(6, 2, 1),
        ),
        IMAGE,
        {"norm": "folded-forward a, head"},
    ),
    skip_connection=Placement(
        lambda: nn.Sequential(nn.Conv2d(4, 6, 3), Forward(lambda net, y: net.norm(y) + y, norm=nn.BatchNorm2d(6))),
        IMAGE,
        {"1.norm": "kept 0 is also used without normalization"},
        {"1.norm": "affine as a product and a sum"},
    ),
    two_of_one_output=Placement(
        lambda: nn.Sequential(
            nn.Conv2d(4, 6, 3),
            Forward(lambda net, y: net.n1(y).relu() + net.n2(y), n1=nn.BatchNorm2d(6), n2=nn.BatchNorm2d(6)),
        ),
        IMAGE,
        {"1.n1": "kept is also used without", "1.n2": "kept is also used without"},
        {"1.n1": "affine as a product and a sum", "1.n2": "affine as a product and a sum"},
    ),
)


def before(layers: Callable[[], list[nn.Module]]) -> Callable[[], nn.Module]:
    """A network of layers behind something that no rule passes; the first of them is a normalization layer."""
    return lambda: nn.Sequential(nn.Tanh(), *layers())


BEFORE_WEIGHTS = side_by_side(
    convolution=Placement(before(lambda: [nn.BatchNorm2d(4), nn.Conv2d(4, 6, 3)]), IMAGE, {"1": "folded-forward 2"}),
    convolution_without_bias=Placement(
        before(lambda: [nn.BatchNorm2d(4), nn.Conv2d(4, 6, 3, stride=2, bias=False)]), IMAGE, {"1": "folded-forward 2"}
    ),
    grouped=Placement(
        before(lambda: [nn.BatchNorm2d(4), nn.Conv2d(4, 6, 3, groups=2)]), IMAGE, {"1": "folded-forward 2"}
    ),
    depthwise=Placement(
        before(lambda: [nn.BatchNorm2d(4), nn.Conv2d(4, 8, 3, groups=4)]), IMAGE, {"1": "folded-forward 2"}
    ),
    convolution1d=Placement(
        before(lambda: [nn.BatchNorm1d(4), nn.Conv1d(4, 6, 3)]), SEQUENCE, {"1": "folded-forward 2"}
    ),
    convolution3d=Placement(before(lambda: [nn.BatchNorm3d(4), nn.Conv3d(4, 6, 2)]), VOLUME, {"1": "folded-forward 2"}),
    padded=Placement(
        before(lambda: [nn.BatchNorm2d(4), nn.Conv2d(4, 6, 3, padding=1)]),
        IMAGE,
        {"1": "kept pads with zeros"},
        {"1": "affine Its scale went into before_weights.padded.2, a sum stayed"},
    ),
    transposed=Placement(
        before(lambda: [nn.BatchNorm2d(4), nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2)]),
        IMAGE,
        {"1": "kept pads with zeros"},
        {"1": "affine Its scale went into before_weights.transposed.2, a sum stayed"},
    ),
    linear=Placement(before(lambda: [nn.BatchNorm1d(5), nn.Linear(5, 6)]), (5,), {"1": "folded-forward 2"}),
    linear_without_bias=Placement(
        before(lambda: [nn.BatchNorm1d(5), nn.Linear(5, 6, bias=False)]), (5,), {"1": "folded-forward 2"}
    ),
    flattened=Placement(
        before(lambda: [nn.BatchNorm2d(4), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(36, 3)]),
        IMAGE,
        {"1": "folded-forward 4"},
    ),
    several=Placement(
        lambda: Forward(
            lambda net, x: net.a(y := net.norm(x.tanh())).mean((2, 3)) + net.b(y).mean((2, 3)),
            norm=nn.BatchNorm2d(4),
            a=nn.Conv2d(4, 6, 3),
            b=nn.Conv2d(4, 6, 1),
        ),
        IMAGE,
        {"norm": "folded-forward a, b"},
    ),
    one_of_several_pads=Placement(
        lambda: Forward(
            lambda net, x: net.a(y := net.norm(x.tanh())).mean((2, 3)) + net.b(y).mean((2, 3)),
            norm=nn.BatchNorm2d(4),
            a=nn.Conv2d(4, 6, 3, padding=1),
            b=nn.Conv2d(4, 6, 1),
        ),
        IMAGE,
        {"norm": "kept a (Conv) pads with zeros"},
        {"norm": "affine a sum stayed"},
    ),
    weights_of_another=Placement(
        lambda: Forward(
            lambda net, x: net.conv(net.norm(x.tanh())) + net.conv(2 * x),
            norm=nn.BatchNorm2d(4),
            conv=nn.Conv2d(4, 6, 3),
        ),
        IMAGE,
        {"norm": "folded-forward conv"},
    ),
)

POST_ACTIVATION = side_by_side(
    images=Placement(
        lambda: nn.Sequential(
            nn.Conv2d(4, 6, 3),
            nn.ReLU(),
            nn.BatchNorm2d(6),
            nn.Conv2d(6, 5, 3),
            nn.ReLU(),
            nn.BatchNorm2d(5),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(5, 3),
        ),
        IMAGE,
        {"2": "folded-forward 3", "5": "folded-forward 8"},
    ),
    vectors=Placement(
        lambda: nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.BatchNorm1d(6), nn.Linear(6, 3)),
        (5,),
        {"2": "folded-forward 3"},
    ),
    padded=Placement(
        lambda: nn.Sequential(nn.Conv2d(4, 6, 3), nn.Sigmoid(), nn.BatchNorm2d(6), nn.Conv2d(6, 2, 3, padding=1)),
        IMAGE,
        {"2": "kept pads with zeros"},
        {"2": "affine a sum stayed"},
    ),
    last=Placement(
        lambda: nn.Sequential(nn.Conv2d(4, 6, 3), nn.ReLU(), nn.BatchNorm2d(6), nn.Tanh()),
        IMAGE,
        {"2": "kept does not commute with a shift"},
        {"2": "affine as a product and a sum"},
    ),
    last_of_positive_scales=Placement(
        lambda: nn.Sequential(nn.Conv2d(4, 6, 3), nn.ReLU(), positive(nn.BatchNorm2d(6)), nn.Tanh()),
        IMAGE,
        {"2": "kept does not commute with a shift"},
        {"2": "affine Its scale went into post_activation.last_of_positive_scales.0, a sum stayed"},
    ),
)

PRE_ACTIVATION = side_by_side(
    one_by_one=Placement(
        before(lambda: [nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 6, 1)]),
        IMAGE,
        {"1": "kept does not commute with a shift"},
        {"1": "folded-forward 3"},
    ),
    positive_scales=Placement(
        before(lambda: [positive(nn.BatchNorm2d(4)), nn.ReLU(), nn.Conv2d(4, 6, 3)]),
        IMAGE,
        {"1": "kept does not commute with a shift"},
        {"1": "folded-forward 3"},
    ),
    relu6=Placement(
        before(lambda: [nn.BatchNorm2d(4), nn.ReLU6(), nn.Conv2d(4, 6, 1)]),
        IMAGE,
        {"1": "kept is not affine in its input"},
        {"1": "folded-forward 3"},
    ),
    padded=Placement(
        before(lambda: [nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 6, 3, padding=1)]),
        IMAGE,
        {"1": "kept does not commute with a shift"},
        {"1": "affine Its scale went into pre_activation.padded.3, a sum stayed"},
    ),
    padded_relu6=Placement(
        before(lambda: [nn.BatchNorm2d(4), nn.ReLU6(), nn.Conv2d(4, 6, 3, padding=1)]),
        IMAGE,
        {"1": "kept is not affine in its input"},
        {"1": "affine Its scale went into pre_activation.padded_relu6.3, a sum stayed"},
    ),
    leaky=Placement(
        before(lambda: [positive(nn.BatchNorm2d(4)), nn.LeakyReLU(), nn.Conv2d(4, 6, 3)]),
        IMAGE,
        {"1": "kept does not commute with a shift"},
        {"1": "affine Its scale went into pre_activation.leaky.3, a sum stayed"},
    ),
    averaged=Placement(
        before(lambda: [nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)]),
        IMAGE,
        {"1": "kept does not commute with a shift"},
        {"1": "folded-forward 5"},
    ),
    vectors=Placement(
        before(lambda: [nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3)]),
        (5,),
        {"1": "kept does not commute with a shift"},
        {"1": "folded-forward 3"},
    ),
    vectors_of_positive_scales=Placement(
        before(lambda: [positive(nn.BatchNorm1d(5)), nn.ReLU(), nn.Linear(5, 3)]), (5,), {"1": "folded-forward 3"}
    ),
    two_readers=Placement(  # as in ResNet v2 (He et al. 2016b), where a block's shortcut projects
        lambda: Forward(
            lambda net, x: net.a(y := net.norm(x.tanh()).relu()) + net.b(y),
            norm=nn.BatchNorm2d(4),
            a=nn.Conv2d(4, 6, 1),
            b=nn.Conv2d(4, 6, 1),
        ),
        IMAGE,
        {"norm": "kept does not commute with a shift"},
        {"norm": "folded-forward a, b"},
    ),
)

IN_A_ROW = side_by_side(
    behind_weights=Placement(
        lambda: nn.Sequential(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6), nn.BatchNorm2d(6), nn.ReLU()),
        IMAGE,
        {"1": "folded-backward 0", "2": "folded-backward 0"},
    ),
    before_weights=Placement(
        before(lambda: [nn.BatchNorm2d(4), nn.BatchNorm2d(4, affine=False), nn.BatchNorm2d(4), nn.Conv2d(4, 6, 3)]),
        IMAGE,
        {"1": "folded-forward 2", "2": "folded-forward 3", "3": "folded-forward 4"},
    ),
    before_nothing=Placement(
        before(lambda: [nn.BatchNorm2d(4), nn.BatchNorm2d(4), nn.Tanh()]),
        IMAGE,
        {"1": "folded-forward 2", "2": "kept not backward"},
        {"2": "affine as a product and a sum"},
    ),
)

USED_AGAIN = side_by_side(
    with_its_weights=Placement(
        lambda: Forward(
            lambda net, x: net.block(x).relu() + net.block(-x),
            block=nn.Sequential(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6)),
        ),
        IMAGE,
        {"block.1": "folded-backward block.0", "block.1@2": "folded-backward block.0"},
    ),
    behind_others=Placement(
        lambda: Forward(
            lambda net, x: net.norm(net.a(x)).relu() + net.norm(net.b(x).relu()).tanh(),
            a=nn.Conv2d(4, 6, 3),
            b=nn.Conv2d(4, 6, 3),
            norm=nn.BatchNorm2d(6),
        ),
        IMAGE,
        {"norm": "folded-backward a", "norm@2": "kept does not commute with a shift"},
        {"norm@2": "affine as a product and a sum"},
    ),
    no_module=Placement(
        lambda: Forward(
            lambda net, x: functional.batch_norm(net.conv(x), net.mean.detach(), net.variance.detach()).relu(),
            conv=nn.Conv2d(4, 6, 3),
            mean=nn.Parameter(torch.randn(6)),
            variance=nn.Parameter(torch.rand(6) + 0.5),
        ),
        IMAGE,
        {"batch_norm": "folded-backward conv"},
    ),
    computed_weights=Placement(
        lambda: Forward(
            lambda net, x: net.norm(functional.linear(x, net.matrix * x.mean())).tanh(),
            matrix=nn.Parameter(torch.randn(6, 5)),
            norm=nn.BatchNorm1d(6),
        ),
        (5,),
        {"norm": "kept are computed, not constant"},
        {"norm": "affine as a product and a sum"},
    ),
)

PLACEMENTS: Mapping[str, Placement] = {
    "behind convolutions": CONVOLUTIONS,
    "behind a convolution of volumes without bias": behind(
        lambda: nn.Conv3d(4, 6, 2, bias=False), lambda: nn.BatchNorm3d(6), VOLUME
    ),
    "behind transposed convolutions": TRANSPOSED_CONVOLUTIONS,
    "behind linear layers": LINEAR_LAYERS,
    "at tokens": TOKENS,
    "behind weights that are used twice": SHARED_WEIGHTS,
    "pooled": side_by_side(pooled=POOLED),
    "at branches": BRANCHES,
    "before weights": side_by_side(before_weights=BEFORE_WEIGHTS),
    "behind activations": side_by_side(post_activation=POST_ACTIVATION),
    "before activations": side_by_side(pre_activation=PRE_ACTIVATION),
    "in a row": IN_A_ROW,
    "used again": USED_AGAIN,
    "behind a dropout, which is nothing at inference": Placement(
        lambda: nn.Sequential(nn.Conv2d(4, 6, 3), nn.Dropout(), nn.BatchNorm2d(6), nn.ReLU()),
        IMAGE,
        {"2": "folded-backward 0"},
    ),
    "at the output of a part of a part": Placement(
        lambda: nn.Sequential(nn.Sequential(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6))),
        IMAGE,
        {"0.1": "folded-backward 0.0"},
    ),
    "first": Placement(lambda: nn.Sequential(nn.BatchNorm2d(4), nn.Conv2d(4, 6, 3)), IMAGE, {"0": "folded-forward 1"}),
    "alone": Placement(
        lambda: nn.BatchNorm2d(4),
        IMAGE,
        {"batch_norm": "kept no weights"},
        {"batch_norm": "affine as a product and a sum"},
    ),
}
