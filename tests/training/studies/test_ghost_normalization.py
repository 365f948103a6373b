import pytest
import torch
from torch import nn

from tests.training.examples import normal_rows
from training.population import estimate_population_statistics
from training.studies.ghost_normalization import GhostBatchNorm1d


def test_every_group_is_normalized_by_its_own_statistics() -> None:
    rows = 3 + 2 * normal_rows(12, 5)
    layer, plain = GhostBatchNorm1d(5, group_rows=4), nn.BatchNorm1d(5)

    normalized = layer(rows)

    # sums over 4 rows in float32, in another order
    torch.testing.assert_close(
        normalized, torch.cat([plain(group) for group in torch.split(rows, 4)]), rtol=0, atol=1e-5
    )


def test_with_one_group_it_is_batch_normalization_and_so_are_its_gradients() -> None:
    rows = normal_rows(12, 5)
    layer, plain = GhostBatchNorm1d(5, group_rows=12), nn.BatchNorm1d(5)
    cotangent = normal_rows(12, 5, seed=2)

    for each in (layer, plain):
        (each(rows) * cotangent).sum().backward()

    torch.testing.assert_close(layer.weight.grad, plain.weight.grad)
    torch.testing.assert_close(layer.bias.grad, plain.bias.grad)


def test_its_statistics_are_estimated_like_those_of_any_layer() -> None:
    rows = 3 + normal_rows(12, 5)
    network = nn.Sequential(GhostBatchNorm1d(5, group_rows=4))

    estimate_population_statistics(network, [rows])

    output = network.eval()(rows)
    torch.testing.assert_close(output.mean(dim=0), torch.zeros(5), rtol=0, atol=1e-5)
    torch.testing.assert_close(output.var(dim=0, correction=0), torch.ones(5), rtol=1e-4, atol=0)


def test_a_batch_that_is_no_whole_number_of_groups_is_refused() -> None:
    layer = GhostBatchNorm1d(5, group_rows=4)

    with pytest.raises(ValueError, match="expected a multiple of group_rows, 4, got 10"):
        layer(normal_rows(10, 5))
