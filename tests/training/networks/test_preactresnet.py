import pytest
import torch

from training.networks.preactresnet import PreActivationBlock, PreActResNet
from training.networks.residual_shapes import BlockShape

ROWS = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(0))


def test_a_block_that_keeps_the_shape_adds_to_what_it_takes() -> None:
    block = PreActivationBlock(BlockShape(4, 4, 4, stride=1, bottleneck=False), activate=True).eval()

    features = block(ROWS)

    assert torch.equal(features, block.residual(block.activation(ROWS)) + ROWS)


@pytest.mark.parametrize("bottleneck", [False, True])
def test_a_projection_takes_the_normalized_and_rectified_input(bottleneck: bool) -> None:
    block = PreActivationBlock(BlockShape(4, 2, 8, stride=2, bottleneck=bottleneck), activate=True).eval()
    assert block.projection is not None

    features = block(ROWS)

    activated = block.activation(ROWS)
    assert float(activated.detach().min()) == 0
    assert features.shape == (2, 8, 3, 3)
    assert torch.equal(features, block.residual(activated) + block.projection(activated))


def test_the_first_block_takes_what_the_stem_has_normalized_as_it_is() -> None:
    network = PreActResNet(18, stem="small", width=0.1).eval()
    stemmed = network.stem(torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)))

    activated = network.get_submodule("stages.0.0.activation")(stemmed)

    assert torch.equal(activated, stemmed)


def test_the_last_sum_is_normalized_and_rectified_before_the_average() -> None:
    network = PreActResNet(18, stem="small", width=0.1).eval()
    rows = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))

    logits = network(rows)

    features = network.activation(network.stages(network.stem(rows)))
    assert float(features.detach().min()) == 0
    assert torch.equal(logits, network.classifier(features.mean(dim=(2, 3))))


def test_an_unknown_depth_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match=r"^depth: expected one of 18, 34, 50, got 20$"):
        PreActResNet(20)
