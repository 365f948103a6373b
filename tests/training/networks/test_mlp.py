import torch

from training.networks.mlp import MLP
from training.normalization import normalization_layers


def test_an_mlp_normalizes_once_a_width() -> None:
    network = MLP(widths=(6, 6, 12))

    assert [layer.num_features for layer in normalization_layers(network).values()] == [6, 6, 12]


def test_an_mlp_takes_rows_of_any_shape_with_as_many_values() -> None:
    network = MLP(in_features=24).eval()
    values = torch.randn(3, 24, generator=torch.Generator().manual_seed(0))

    logits = [network(values.reshape(3, *shape)) for shape in ((24,), (4, 6), (1, 2, 12))]

    assert torch.equal(logits[0], logits[1])
    assert torch.equal(logits[0], logits[2])
