"""The networks here have several layers, so that what holds for the first must hold for those behind it too."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from models.moments import Array
from tests.training.examples import Forward, build, normal_rows
from training.data import Rows, Splits
from training.drafting import with_population_statistics
from training.errors import StatisticsError
from training.fit import Fit
from training.normalization import normalization_layers, read_layer
from training.population import estimate_population_statistics

Statistics = dict[str, tuple[Array, Array]]


def convnet() -> nn.Module:
    return nn.Sequential(
        nn.BatchNorm2d(2),
        nn.Conv2d(2, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 3, 3),
        nn.BatchNorm2d(3, affine=False),
        nn.Flatten(),
        nn.Linear(12, 5),
        nn.BatchNorm1d(5),
    )


def sequences() -> nn.Module:
    return nn.Sequential(nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4), nn.ReLU(), nn.Conv1d(4, 3, 3), nn.BatchNorm1d(3))


def volumes() -> nn.Module:
    return nn.Sequential(nn.Conv3d(1, 2, 2), nn.BatchNorm3d(2), nn.ReLU(), nn.Conv3d(2, 3, 2), nn.BatchNorm3d(3))


def branches() -> nn.Module:
    """Two branches; the one that is declared first is used last, and reads what the other gives."""
    return Forward(
        lambda net, x: net.late(net.second(net.early(net.first(x)).relu())),
        late=nn.BatchNorm1d(3),
        early=nn.BatchNorm1d(4),
        first=nn.Linear(2, 4),
        second=nn.Linear(4, 3),
    )


NETWORKS: list[tuple[Callable[[], nn.Module], tuple[int, ...]]] = [
    (convnet, (2, 6, 6)),
    (sequences, (2, 9)),
    (volumes, (1, 4, 4, 4)),
    (branches, (2,)),
]


def kept(network: nn.Module) -> Statistics:
    """Every layer's running mean and variance."""
    return {
        name: (layer.running_mean.double().numpy(), layer.running_var.double().numpy())
        for name, layer in normalization_layers(network).items()
        if layer.running_mean is not None and layer.running_var is not None
    }


def seen(network: nn.Module, batches: tuple[Tensor, ...], *, side: str = "input") -> Statistics:
    """Mean and population variance of what every layer takes in, or gives out, over all rows, in float64."""
    values: dict[str, list[Tensor]] = {name: [] for name in normalization_layers(network)}

    def observe(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        return lambda _module, inputs, output: values[name].append(inputs[0] if side == "input" else output)

    handles = [layer.register_forward_hook(observe(name)) for name, layer in normalization_layers(network).items()]
    with torch.no_grad():
        for batch in batches:
            network(batch)
    for handle in handles:
        handle.remove()
    rows = {name: torch.cat(parts).double().transpose(0, 1).flatten(1).numpy() for name, parts in values.items()}
    return {name: (array.mean(axis=1), array.var(axis=1)) for name, array in rows.items()}


def assert_same(found: Statistics, expected: Statistics, *, tolerance: float) -> None:
    """Every mean within so many standard deviations, every variance within that share of itself."""
    assert found.keys() == expected.keys()
    for name, (mean, variance) in expected.items():
        deviation = np.sqrt(variance)
        np.testing.assert_array_less(np.abs(found[name][0] - mean) / deviation, tolerance, err_msg=name)
        np.testing.assert_allclose(found[name][1], variance, rtol=tolerance, err_msg=name)


@pytest.mark.parametrize(("make", "row"), NETWORKS)
def test_every_layer_keeps_the_mean_and_variance_of_its_own_input(
    make: Callable[[], nn.Module], row: tuple[int, ...]
) -> None:
    network = build(make)
    batches = torch.split(normal_rows(50, *row), 16)

    estimate_population_statistics(network, batches)

    # what is kept is rounded to float32 once: 6e-8 of the mean, which may be some standard deviations
    assert_same(kept(network), seen(network, batches), tolerance=1e-6)


@pytest.mark.parametrize(("make", "row"), NETWORKS)
def test_every_layer_then_gives_the_mean_and_variance_that_it_learned(
    make: Callable[[], nn.Module], row: tuple[int, ...]
) -> None:
    network = build(make)
    batches = torch.split(normal_rows(50, *row), 16)

    estimate_population_statistics(network, batches)

    layers = normalization_layers(network)
    for name, (mean, variance) in seen(network, batches, side="output").items():
        layer, before = read_layer(name, layers[name]), kept(network)[name][1]
        # each output is rounded to float32, 6e-8 of numbers up to 10
        np.testing.assert_allclose(mean, layer.beta, rtol=0, atol=1e-6, err_msg=name)
        expected = layer.gamma**2 * before / (before + layer.eps)
        np.testing.assert_allclose(variance, expected, rtol=1e-5, atol=1e-9, err_msg=name)


@settings(max_examples=25)
@given(st.data())
def test_any_split_of_the_rows_gives_the_same_statistics_in_every_layer(data: st.DataObject) -> None:
    make, row = data.draw(st.sampled_from(NETWORKS))
    rows = normal_rows(24, *row)
    cuts = data.draw(st.lists(st.integers(0, 24), max_size=8).map(sorted))
    whole, split = build(make), build(make)

    estimate_population_statistics(whole, [rows])
    estimate_population_statistics(split, [part for part in rows.tensor_split(cuts) if len(part)])

    # torch takes other kernels for other batch sizes: sums of at most 36 products, each rounded by 6e-8, three deep
    assert_same(kept(split), kept(whole), tolerance=2e-5)


@given(st.permutations(range(24)))
@settings(max_examples=10)
def test_the_order_of_the_rows_does_not_matter(order: list[int]) -> None:
    rows = normal_rows(24, 2, 6, 6)
    one, other = build(convnet), build(convnet)

    estimate_population_statistics(one, torch.split(rows, 8))
    estimate_population_statistics(other, torch.split(rows[order], 8))

    # rows change places between batches, so each is computed by the same kernels; sums are in float64
    assert_same(kept(other), kept(one), tolerance=2e-5)


@pytest.mark.parametrize(("make", "row"), NETWORKS)
def test_with_all_rows_in_one_batch_it_agrees_with_torch_in_training_mode(
    make: Callable[[], nn.Module], row: tuple[int, ...]
) -> None:
    rows = normal_rows(50, *row)
    estimated, trained = build(make), build(make).train()
    for layer in normalization_layers(trained).values():
        layer.momentum = 1.0

    estimate_population_statistics(estimated, [rows])
    with torch.no_grad():
        trained(rows)

    counts = _values_behind_a_channel(estimated, rows)
    biased = {name: (mean, var * (1 - 1 / counts[name])) for name, (mean, var) in kept(trained).items()}
    # torch sums 50 to 1,800 float32 values for each of its moments, three layers deep
    assert_same(kept(estimated), biased, tolerance=1e-4)


def _values_behind_a_channel(network: nn.Module, rows: Tensor) -> dict[str, int]:
    counts: dict[str, int] = {}

    def observe(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        return lambda _module, _inputs, output: counts.update({name: output.numel() // output.shape[1]})

    for name, layer in normalization_layers(network).items():
        layer.register_forward_hook(observe(name))
    with torch.no_grad():
        network(rows)
    return counts


def test_a_second_estimate_changes_nothing() -> None:
    network = build(convnet)
    batches = torch.split(normal_rows(50, 2, 6, 6), 16)
    estimate_population_statistics(network, batches)
    first = {name: (mean.copy(), variance.copy()) for name, (mean, variance) in kept(network).items()}

    estimate_population_statistics(network, batches)

    assert_same(kept(network), first, tolerance=1e-12)


def test_a_small_deviation_around_a_large_mean_is_not_lost() -> None:
    network = build(lambda: nn.Sequential(nn.BatchNorm1d(3)))
    rows = 1e4 + normal_rows(100, 3)

    estimate_population_statistics(network, torch.split(rows, 7))

    expected = {"0": (rows.double().mean(dim=0).numpy(), rows.double().var(dim=0, correction=0).numpy())}
    # float32 keeps a mean of 1e4 to 5e-4; the variance, taken around the mean in float64, keeps all its digits
    np.testing.assert_allclose(kept(network)["0"][0], expected["0"][0], rtol=6e-8)
    np.testing.assert_allclose(kept(network)["0"][1], expected["0"][1], rtol=1e-7)


def test_it_says_how_many_rows_there_were() -> None:
    network = build(convnet)

    count = estimate_population_statistics(network, torch.split(normal_rows(50, 2, 6, 6), 16))

    assert count == 50


def test_weights_and_counts_stay_as_they_are() -> None:
    network = build(convnet)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}

    estimate_population_statistics(network, torch.split(normal_rows(50, 2, 6, 6), 16))

    changed = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == {f"{name}.{field}" for name in ("0", "2", "5", "8") for field in ("running_mean", "running_var")}


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_stays_as_it_was(training: bool) -> None:
    network = build(convnet).train(training)

    estimate_population_statistics(network, torch.split(normal_rows(8, 2, 6, 6), 4))

    assert {module.training for module in network.modules()} == {training}


def test_a_frozen_layer_stays_frozen() -> None:
    network = build(convnet).train()
    frozen = network.get_submodule("2").eval()

    estimate_population_statistics(network, torch.split(normal_rows(8, 2, 6, 6), 4))

    assert [module for module in network.modules() if not module.training] == [frozen]


def test_dropout_is_off_while_statistics_are_estimated() -> None:
    network = build(lambda: nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(3))).train()
    rows = normal_rows(100, 3)

    estimate_population_statistics(network, [rows])

    expected = {"1": (rows.double().mean(dim=0).numpy(), rows.double().var(dim=0, correction=0).numpy())}
    assert_same(kept(network), expected, tolerance=1e-6)


def test_a_layer_without_statistics_is_left_alone() -> None:
    network = build(
        lambda: nn.Sequential(
            nn.BatchNorm1d(3, track_running_stats=False), nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)
        )
    )
    rows = normal_rows(50, 3)

    estimate_population_statistics(network, [rows])

    layer = normalization_layers(network)["0"]
    assert (layer.running_mean, layer.running_var) == (None, None)
    seen_by_the_tracked = {"2": seen(network, (rows,))["2"]}
    assert_same(kept(network), seen_by_the_tracked, tolerance=1e-6)


def test_a_layer_that_no_row_reaches_keeps_what_it_has() -> None:
    network = build(lambda: Forward(lambda net, x: net.used(x), used=nn.BatchNorm1d(3), unused=nn.BatchNorm1d(3)))
    before = normalization_layers(network)["unused"].state_dict()
    expected = {name: tensor.clone() for name, tensor in before.items()}

    estimate_population_statistics(network, torch.split(normal_rows(50, 3), 16))

    after = normalization_layers(network)["unused"].state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in expected.items())


def test_a_layer_that_is_used_twice_is_refused_by_name() -> None:
    network = build(
        lambda: Forward(
            lambda net, x: net.norm(net.a(x)) + net.norm(net.b(x)),
            a=nn.Linear(3, 4),
            b=nn.Linear(3, 4),
            norm=nn.BatchNorm1d(4),
        )
    )

    with pytest.raises(StatisticsError, match=r"^norm: expected one use in a forward pass, got 2$"):
        estimate_population_statistics(network, torch.split(normal_rows(50, 3), 16))


@pytest.mark.parametrize("batches", [[], [torch.empty(0, 2, 6, 6)]], ids=["no batch", "an empty batch"])
def test_no_rows_are_refused(batches: list[Tensor]) -> None:
    network = build(convnet)

    with pytest.raises(StatisticsError, match="expected at least one row, got none"):
        estimate_population_statistics(network, batches)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_rows_that_are_not_finite_are_refused_at_the_first_layer_they_reach(value: float) -> None:
    network = build(lambda: nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.BatchNorm1d(4)))
    rows = normal_rows(50, 3)
    rows[30, 1] = value

    with pytest.raises(StatisticsError, match=r"^1: expected finite values at its input over all rows"):
        estimate_population_statistics(network, torch.split(rows, 16))


def test_a_refusal_leaves_the_mode_and_the_network_usable() -> None:
    network = build(lambda: nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))).train()
    rows = normal_rows(50, 3)

    with pytest.raises(StatisticsError):
        estimate_population_statistics(network, [rows * float("nan")])

    assert {module.training for module in network.modules()} == {True}
    assert estimate_population_statistics(network, [rows]) == 50


def test_rows_that_are_large_go_through_a_fit_network_few_at_a_time() -> None:
    network, seen_rows = build(lambda: nn.Sequential(nn.BatchNorm2d(1))), list[int]()
    network.register_forward_pre_hook(lambda _module, inputs: seen_rows.append(len(inputs[0])))
    rows = Rows(torch.zeros(()).expand(6, 1, 1024, 1024), torch.zeros(6, dtype=torch.int64))

    fitted = with_population_statistics(
        network, Splits("large", ("a",), rows, rows, rows), Fit(0.0, 1, 0.0, 0.0, 1.0), None
    )

    assert fitted.rows == 6
    assert seen_rows[1:] == [4, 2]  # the first one is a look at the order of the layers
