import torch

from training.networks.convnet import ConvNet
from training.normalization import normalization_layers


def test_a_convnet_normalizes_once_a_width() -> None:
    network = ConvNet(widths=(6, 6, 12))

    assert [layer.num_features for layer in normalization_layers(network).values()] == [6, 6, 12]


def test_a_convnet_halves_the_image_where_it_widens() -> None:
    network = ConvNet(in_channels=2, widths=(4, 4, 8, 16)).eval()

    features = network.features(torch.zeros(1, 2, 12, 20))

    assert features.shape == (1, 16, 3, 5)


def test_a_convnet_takes_images_of_any_size() -> None:
    network = ConvNet().eval()

    shapes = {network(torch.zeros(2, 1, size, size + 1)).shape for size in (2, 8, 17)}

    assert shapes == {(2, 10)}
