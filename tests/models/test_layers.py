from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.layers import UNOBSERVABLE_BELOW, Distance, NormalizationLayer
from models.moments import Array, Moments

U = np.finfo(np.float64).eps / 2
"""Unit roundoff: what one operation in float64 may be off by, relative to its result."""

TINY = 1e-300
"""What underflow may take away, also where it is divided by a squared scale of 1e-12 after that."""

CHANNELS = 4


@st.composite
def layers(draw: st.DrawFn) -> NormalizationLayer:
    """Layers with channels of either sign, all of them observable."""
    size = st.floats(UNOBSERVABLE_BELOW, 1e3)
    return NormalizationLayer(
        name="norm",
        eps=draw(st.sampled_from([0.0, 1e-5, 1e-3])),
        gamma=draw(arrays(np.float64, CHANNELS, elements=size | size.map(lambda s: -s))),
        beta=draw(per_channel(-1e3, 1e3)),
        mean=draw(per_channel(-1e3, 1e3)),
        variance=draw(per_channel(1e-6, 1e6)),
    )


def per_channel(low: float, high: float) -> st.SearchStrategy[Array]:
    return arrays(np.float64, CHANNELS, elements=st.floats(low, high))


@given(layers(), per_channel(-1e3, 1e3))
def test_scale_and_shift_are_the_textbook_normalization(layer: NormalizationLayer, x: Array) -> None:
    normalized = (x - layer.mean) / np.sqrt(layer.variance + layer.eps)

    y = layer.scale * x + layer.shift

    # each term of the sum is off by a few roundings of its own size, and so is the textbook's
    terms = np.abs(layer.scale) * (np.abs(x) + np.abs(layer.mean)) + np.abs(layer.beta)
    assert (np.abs(y - (layer.gamma * normalized + layer.beta)) <= 16 * U * terms + TINY).all()


def test_channels_with_gamma_near_zero_are_not_observable() -> None:
    layer = with_parameters(gamma=[0.0, 0.999e-3, 1e-3, -1e-3, -0.999e-3])

    observable = layer.observable

    assert observable.tolist() == [False, False, True, True, False]


@given(layers())
def test_a_layer_that_sees_what_it_was_trained_on_is_at_distance_zero(layer: NormalizationLayer) -> None:
    as_trained = Moments(9, layer.mean, 9 * layer.variance)

    distance = Distance.between(layer, as_trained)

    # the ratio of equal variances is off by a few roundings, and r + 1/r - 2 by a few of its terms
    assert (distance.shift == 0).all()
    np.testing.assert_allclose(distance.ratio, 1.0, rtol=16 * U)
    np.testing.assert_allclose(distance.symmetric_kl, 0.0, atol=64 * U)
    np.testing.assert_allclose(distance.squared_wasserstein, 0.0, atol=64 * U)


def test_shift_and_ratio_are_in_training_deviations_and_variances() -> None:
    layer = NormalizationLayer("norm", 1.0, np.ones(1), np.zeros(1), np.array([5.0]), np.array([3.0]))
    live = Moments(10, np.array([9.0]), np.array([150.0]))

    distance = Distance.between(layer, live)

    # the deviation is sqrt(3 + 1) = 2: the mean moved by 4, the variance and eps are 16
    assert (distance.shift.tolist(), distance.ratio.tolist()) == ([2.0], [4.0])


shifts, ratios = per_channel(-10, 10), per_channel(1e-3, 1e3)


@given(shifts, ratios)
def test_symmetric_kl_is_both_divergences_between_gaussians(shift: Array, ratio: Array) -> None:
    distance = Distance(shift, ratio)
    trained, live = (np.zeros(CHANNELS), np.ones(CHANNELS)), (shift, np.sqrt(ratio))

    symmetric_kl = distance.symmetric_kl

    # squares of up to 1e5 cancel: some roundings of 1e5 are 1e-10
    expected = expected_log_ratio(live, trained) + expected_log_ratio(trained, live)
    np.testing.assert_allclose(symmetric_kl, expected, rtol=1e-10, atol=1e-10)


@given(shifts, ratios)
def test_squared_wasserstein_is_the_mean_squared_way_of_the_best_transport(shift: Array, ratio: Array) -> None:
    distance = Distance(shift, ratio)
    nodes, weights = standard_normal_quadrature()

    squared_wasserstein = distance.squared_wasserstein

    # on a line the best transport keeps the order: the quantile at u goes to the quantile at u
    ways = shift[:, None] + np.sqrt(ratio)[:, None] * nodes - nodes
    np.testing.assert_allclose(squared_wasserstein, np.square(ways) @ weights, rtol=1e-10, atol=1e-10)


@given(per_channel(-10, 10), per_channel(1e-2, 1e2))
def test_symmetric_kl_is_the_same_from_either_side(mean: Array, variance: Array) -> None:
    ones, zeros = np.ones(CHANNELS), np.zeros(CHANNELS)
    standard = NormalizationLayer("norm", 0.0, ones, zeros, zeros, ones)
    other = NormalizationLayer("norm", 0.0, ones, zeros, mean, variance)

    there = Distance.between(standard, Moments(1, mean, variance)).symmetric_kl
    back = Distance.between(other, Moments(1, zeros, ones)).symmetric_kl

    np.testing.assert_allclose(there, back, rtol=1e-10, atol=1e-10)


def test_symmetric_kl_is_infinite_for_a_channel_that_stopped_varying() -> None:
    distance = Distance(np.array([2.0, 2.0]), np.array([0.0, 1.0]))

    symmetric_kl = distance.symmetric_kl

    assert symmetric_kl.tolist() == [np.inf, 4.0]


def test_symmetric_kl_is_infinite_for_a_channel_that_stopped_varying_at_its_mean() -> None:
    distance = Distance(np.array([0.0, 0.0]), np.array([0.0, 1.0]))

    symmetric_kl = distance.symmetric_kl

    assert symmetric_kl.tolist() == [np.inf, 0.0]


def test_squared_wasserstein_stays_finite_for_a_channel_that_stopped_varying() -> None:
    distance = Distance(np.array([2.0]), np.array([0.0]))

    squared_wasserstein = distance.squared_wasserstein

    assert squared_wasserstein.tolist() == [5.0]


def test_distances_of_nothing_are_not_numbers() -> None:
    layer = with_parameters(gamma=[1.0, 1.0])

    distance = Distance.between(layer, Moments.empty(2))

    assert np.isnan([distance.ratio, distance.symmetric_kl, distance.squared_wasserstein]).all()


@pytest.mark.parametrize("field", ["gamma", "beta", "mean", "variance"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_parameter_that_is_not_finite_is_refused(field: str, value: float) -> None:
    broken: dict[str, Any] = {field: np.array([1.0, value])}

    with pytest.raises(ValueError, match="finite") as caught:
        replace(with_parameters(gamma=[1.0, 1.0]), **broken)

    assert str(caught.value).startswith("norm")


@pytest.mark.parametrize("field", ["gamma", "beta", "mean", "variance"])
@pytest.mark.parametrize("shape", [(3,), (2, 1), ()])
def test_a_parameter_of_another_shape_is_refused(field: str, shape: tuple[int, ...]) -> None:
    misshapen: dict[str, Any] = {field: np.ones(shape)}

    with pytest.raises(ValueError, match="shape") as caught:
        replace(with_parameters(gamma=[1.0, 1.0]), **misshapen)

    assert str(caught.value).startswith("norm.")
    assert ": expected one number a channel, shape (" in str(caught.value)


def test_four_matrices_are_refused() -> None:
    matrix = np.ones((2, 2))

    with pytest.raises(ValueError, match="shape") as caught:
        NormalizationLayer("norm", 1e-5, matrix, matrix, matrix, matrix)

    assert str(caught.value) == "norm.weight: expected one number a channel, shape (4,), got (2, 2)"


def test_a_negative_variance_is_refused() -> None:
    variance = np.array([1.0, -0.25])

    with pytest.raises(ValueError, match="variance") as caught:
        replace(with_parameters(gamma=[1.0, 1.0]), variance=variance)

    assert str(caught.value) == "norm.running_var: expected no negative variance, got -0.25"


def test_a_zero_variance_without_eps_is_refused() -> None:
    variance = np.array([1.0, 0.0])

    with pytest.raises(ValueError, match="eps") as caught:
        replace(with_parameters(gamma=[1.0, 1.0]), variance=variance, eps=0.0)

    assert str(caught.value) == "norm.eps: expected running_var + eps above 0 and finite, got eps 0"


def test_a_zero_variance_with_eps_is_taken() -> None:
    variance = np.array([1.0, 0.0])

    layer = replace(with_parameters(gamma=[1.0, 1.0]), variance=variance, eps=0.25)

    assert layer.deviation.tolist() == [np.sqrt(1.25), 0.5]


@pytest.mark.parametrize(
    "eps",
    [
        -1e-5,
        pytest.param(np.nan),
        pytest.param(np.inf),
    ],
)
def test_an_eps_that_is_negative_or_not_finite_is_refused(eps: float) -> None:
    layer = with_parameters(gamma=[1.0, 1.0])

    with pytest.raises(ValueError, match="eps") as caught:
        replace(layer, eps=eps)

    assert str(caught.value).startswith("norm.eps: expected ")


def with_parameters(*, gamma: list[float]) -> NormalizationLayer:
    """A layer of variance 1, eps 0 and beta 0."""
    zeros = np.zeros(len(gamma))
    return NormalizationLayer("norm", 0.0, np.array(gamma), zeros, zeros, zeros + 1)


def standard_normal_quadrature() -> tuple[Array, Array]:
    """Nodes and weights that integrate polynomials up to degree 9 against the standard normal density exactly."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(5)
    return nodes, weights / weights.sum()


def expected_log_ratio(p: tuple[Array, Array], q: tuple[Array, Array]) -> Array:
    """KL divergence of Gaussians given by mean and deviation: the mean of ``log p - log q`` under p, by quadrature."""
    nodes, weights = standard_normal_quadrature()
    x = p[0][:, None] + p[1][:, None] * nodes
    # the densities' common factor cancels
    log_p, log_q = (-np.log(d)[:, None] - np.square((x - m[:, None]) / d[:, None]) / 2 for m, d in (p, q))
    return np.asarray((log_p - log_q) @ weights)
