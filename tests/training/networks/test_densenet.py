import pytest
import torch

from training.networks.densenet import DenseLayer, DenseNet


def test_a_layer_passes_on_what_it_takes_and_adds_its_growth() -> None:
    layer = DenseLayer(in_channels=6, inner_channels=8, growth=3).eval()
    rows = torch.randn(2, 6, 5, 5, generator=torch.Generator().manual_seed(0))

    features = layer(rows)

    assert features.shape == (2, 9, 5, 5)
    assert torch.equal(features[:, :6], rows)


def test_between_blocks_channels_are_compressed_and_the_image_is_halved() -> None:
    network = DenseNet((2, 3), stem="small", stem_channels=8, growth=4, compression=0.5).eval()

    features = network.blocks(network.stem(torch.zeros(1, 3, 32, 32)))

    assert features.shape == (1, (8 + 2 * 4) // 2 + 3 * 4, 16, 16)


@pytest.mark.parametrize("compression", [0, 1.5, float("nan")])
def test_a_compression_that_is_no_share_is_refused(compression: float) -> None:
    with pytest.raises(ValueError, match=rf"^compression: expected a number above 0, at most 1, got {compression}$"):
        DenseNet((2, 2), compression=compression)


def test_a_network_without_blocks_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^block_layers: expected at least one block, got none$"):
        DenseNet(())
