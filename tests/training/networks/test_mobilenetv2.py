import pytest
import torch
from torch import nn

from training.networks.mobilenetv2 import InvertedResidual, MobileNetV2


@pytest.mark.parametrize(("stem", "divided_by"), [("small", 8), ("imagenet", 32)])
def test_the_stem_decides_by_how_much_the_image_is_divided(stem: str, divided_by: int) -> None:
    network = MobileNetV2(stem=stem, width=0.25).eval()

    features = network.stages(network.stem(torch.zeros(1, 3, 64, 96)))

    assert features.shape[2:] == (64 // divided_by, 96 // divided_by)


@pytest.mark.parametrize(("out_channels", "stride", "adds"), [(4, 1, True), (4, 2, False), (6, 1, False)])
def test_a_block_adds_what_it_takes_where_the_shape_is_the_same(out_channels: int, stride: int, *, adds: bool) -> None:
    block = InvertedResidual(4, out_channels, expansion=6, stride=stride).eval()
    rows = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(0))

    features = block(rows)

    assert torch.equal(features, block.steps(rows) + (rows if adds else 0))


def test_a_block_filters_each_channel_by_itself_and_narrows_without_activation() -> None:
    block = InvertedResidual(4, 4, expansion=6, stride=1)

    groups = [module.groups for module in block.steps.modules() if isinstance(module, nn.Conv2d)]

    assert groups == [1, 24, 1]
    assert sum(isinstance(module, nn.ReLU6) for module in block.modules()) == 2


def test_a_narrow_network_keeps_its_last_convolution_wide() -> None:
    network = MobileNetV2(width=0.25)

    assert network.classifier.in_features == 1280
