import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.layers import NormalizationLayer
from models.moments import Moments
from models.moving_average import MovingAverage
from tests.training.examples import build, normal_rows
from training.normalization import normalization_layers, read_layer, read_moving_averages
from training.population import estimate_population_statistics
from training.studies.batch_estimates import (
    Closeness,
    TrackedAverages,
    batch_moments,
    by_algorithm_2,
    in_one_pass,
    of_one_batch,
    using_batch_statistics,
    with_statistics,
)

STANDARD = NormalizationLayer(
    "norm", eps=0, gamma=np.ones(2), beta=np.zeros(2), mean=np.array([0.0, 10.0]), variance=np.array([1.0, 4.0])
)


def mlp() -> nn.Module:
    return nn.Sequential(
        nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 5), nn.BatchNorm1d(5)
    )


def moments(*batches: Tensor) -> list[Moments]:
    return [Moments.of(batch.numpy(), channel_axis=1) for batch in batches]


def test_closeness_is_counted_in_training_deviations_and_variance_ratios() -> None:
    estimate = MovingAverage(np.array([3.0, 2.0]), np.array([0.5, 6.0]))

    closeness = Closeness.of(estimate, STANDARD)

    # means are off by 3 and -4 deviations, variances are 0.5 and 1.5 of what they should be
    assert closeness.shift == pytest.approx(12.5**0.5)
    assert closeness.ratio == pytest.approx(1.0)
    assert closeness.ratio_error == pytest.approx(0.5)


def test_batches_of_independent_values_are_off_by_one_over_the_root_of_their_size() -> None:
    layer = NormalizationLayer(
        "norm", eps=0, gamma=np.ones(400), beta=np.zeros(400), mean=np.zeros(400), variance=np.ones(400)
    )
    batches = moments(*torch.split(normal_rows(25 * 40, 400), 25))

    found = [Closeness.of(of_one_batch(batch), layer) for batch in batches]

    # 16,000 means: chance is off by about 1 / sqrt(2 * 16,000), 0.6 %, of them and of the variances' spread
    assert np.sqrt(np.mean([each.shift**2 for each in found])) == pytest.approx(25**-0.5, rel=0.03)
    assert np.mean([each.ratio for each in found]) == pytest.approx(24 / 25, rel=0.01)
    assert np.sqrt(np.mean([each.ratio_error**2 for each in found])) == pytest.approx(
        (2 * 24 + 1) ** 0.5 / 25, rel=0.05
    )


def test_algorithm_2_corrects_the_variance_that_batches_lack() -> None:
    batches = moments(*torch.split(normal_rows(2000, 50), 4))

    estimate = by_algorithm_2(batches)

    assert estimate.variance.mean() == pytest.approx(1, abs=0.02)
    assert np.mean([batch.variance.mean() for batch in batches]) == pytest.approx(0.75, abs=0.02)


def test_one_pass_takes_the_statistics_of_all_values() -> None:
    rows = normal_rows(24, 3)

    estimate = in_one_pass(moments(*torch.split(rows, 4)))

    np.testing.assert_allclose(estimate.mean, rows.double().mean(dim=0), rtol=1e-12)
    np.testing.assert_allclose(estimate.variance, rows.double().var(dim=0, correction=0), rtol=1e-12)


def test_only_the_first_layer_takes_in_the_same_whatever_the_batches() -> None:
    network, rows = build(mlp), normal_rows(24, 3)

    small, whole = (batch_moments(network, torch.split(rows, size)) for size in (4, 24))

    one = {name: in_one_pass(found).variance for name, found in small.items()}
    other = {name: in_one_pass(found).variance for name, found in whole.items()}
    np.testing.assert_allclose(one["1"], other["1"], rtol=1e-5)
    assert np.abs(one["5"] / other["5"] - 1).max() > 0.01


def test_in_one_batch_of_all_rows_it_finds_the_population_statistics() -> None:
    network, rows = build(mlp), normal_rows(24, 3)

    found = batch_moments(network, [rows])

    estimate_population_statistics(network, [rows])
    for name, layer in normalization_layers(network).items():
        closeness = Closeness.of(in_one_pass(found[name]), read_layer(name, layer))
        # both pass the same values through layers in float32
        assert closeness.shift < 1e-5
        assert closeness.ratio_error < 1e-5


def test_measuring_leaves_the_network_as_it_is() -> None:
    network = build(mlp).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}

    batch_moments(network, torch.split(normal_rows(24, 3), 4))

    assert network.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_a_copy_that_uses_batch_statistics_normalizes_what_it_is_given() -> None:
    copied = using_batch_statistics(build(lambda: nn.Sequential(nn.BatchNorm1d(3, affine=False))))

    output = copied(7 + normal_rows(10, 3))

    torch.testing.assert_close(output.mean(dim=0), torch.zeros(3), rtol=0, atol=1e-5)


def test_statistics_are_put_into_a_copy() -> None:
    network = build(lambda: nn.Sequential(nn.BatchNorm1d(2)))
    before = network.state_dict()["0.running_mean"].clone()

    copied = with_statistics(network, {"0": MovingAverage(np.array([1.0, 2.0]), np.array([3.0, 4.0]))})

    assert copied.state_dict()["0.running_mean"].tolist() == [1, 2]
    assert copied.state_dict()["0.running_var"].tolist() == [3, 4]
    assert torch.equal(network.state_dict()["0.running_mean"], before)


def test_averages_of_another_momentum_are_those_that_a_layer_with_it_keeps() -> None:
    torch.manual_seed(0)
    network = mlp().train()
    for layer in normalization_layers(network).values():
        layer.momentum = 0.3

    with TrackedAverages(network, [0.3, 0.9]) as averages, torch.no_grad():
        for batch in torch.split(normal_rows(24, 3), 4):
            network(batch)

    for name, kept in read_moving_averages(network).items():
        np.testing.assert_allclose(averages.of(0.3)[name].mean, kept.mean, rtol=0, atol=1e-6)
        np.testing.assert_allclose(averages.of(0.3)[name].variance, kept.variance, rtol=1e-5)
        assert np.abs(averages.of(0.9)[name].mean - kept.mean).max() > 0.01
