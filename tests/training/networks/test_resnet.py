import pytest
import torch
from torch import nn

from training.networks.residual_shapes import BlockShape
from training.networks.resnet import ResidualBlock, ResNet


@pytest.mark.parametrize(("stem", "divided_by"), [("small", 8), ("imagenet", 32)])
def test_the_stem_decides_by_how_much_the_image_is_divided(stem: str, divided_by: int) -> None:
    network = ResNet(18, stem=stem, width=0.1).eval()

    features = network.stages(network.stem(torch.zeros(1, 3, 64, 96)))

    assert features.shape[2:] == (64 // divided_by, 96 // divided_by)


def test_a_block_that_keeps_the_shape_rectifies_the_sum_of_what_it_takes_and_computes() -> None:
    block = ResidualBlock(BlockShape(4, 4, 4, stride=1, bottleneck=False)).eval()
    rows = torch.randn(2, 4, 5, 5, generator=torch.Generator().manual_seed(0))

    features = block(rows)

    assert torch.equal(features, (rows + block.residual(rows)).relu())


def test_a_bottleneck_strides_in_its_3x3_convolution() -> None:
    block = ResidualBlock(BlockShape(8, 4, 16, stride=2, bottleneck=True))

    convolutions = [module for module in block.residual.modules() if isinstance(module, nn.Conv2d)]

    assert [(c.kernel_size, c.stride) for c in convolutions] == [((1, 1), (1, 1)), ((3, 3), (2, 2)), ((1, 1), (1, 1))]


def test_an_unknown_depth_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match=r"^depth: expected one of 18, 34, 50, got 20$"):
        ResNet(20)
