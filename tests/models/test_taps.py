"""This module tests that a tap is read in training deviations, whichever side of its layer it holds."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.layers import UNOBSERVABLE_BELOW, NormalizationLayer, TapMap
from models.moments import Array
from models.taps import Side, TapUnits

CHANNELS = 3
SIDES: tuple[Side, ...] = ("input", "output")

LAYER = NormalizationLayer(
    name="norm",
    eps=1.0,
    gamma=np.array([2.0, -0.5, 1.0]),
    beta=np.array([1.0, 0.0, -3.0]),
    mean=np.array([5.0, -2.0, 0.0]),
    variance=np.array([3.0, 8.0, 0.0]),
)


def per_channel(low: float, high: float) -> st.SearchStrategy[Array]:
    return arrays(np.float64, CHANNELS, elements=st.floats(low, high))


@st.composite
def layers(draw: st.DrawFn) -> NormalizationLayer:
    """Layers of observable channels with gamma of either sign."""
    size = st.floats(0.01, 10)
    return NormalizationLayer(
        name="norm",
        eps=draw(st.sampled_from([1e-5, 1e-3])),
        gamma=draw(arrays(np.float64, CHANNELS, elements=size | size.map(lambda number: -number))),
        beta=draw(per_channel(-10, 10)),
        mean=draw(per_channel(-10, 10)),
        variance=draw(per_channel(1e-2, 100)),
    )


def tap_maps() -> st.SearchStrategy[TapMap | None]:
    size = st.floats(0.1, 10)
    scale = arrays(np.float64, CHANNELS, elements=size | size.map(lambda number: -number))
    return st.none() | st.builds(TapMap, scale, per_channel(-10, 10))


@given(layers(), per_channel(-10, 10), st.sampled_from(SIDES), tap_maps())
def test_whatever_a_tap_holds_is_read_as_what_the_layer_took(
    layer: NormalizationLayer, z: Array, side: Side, tap_map: TapMap | None
) -> None:
    """An input ``z`` deviations off the training mean is read as ``z`` from either side and through any map."""
    x = layer.mean + layer.deviation * z
    held = x if side == "input" else layer.scale * x + layer.shift
    if tap_map is not None:
        held = tap_map.scale * held + tap_map.shift

    units = TapUnits.of(layer, side, tap_map)

    # numbers of up to some 1e6 in units of the tap's scale of 1e-3 and more, each rounded by 1e-16
    np.testing.assert_allclose((held - units.center) / units.scale, z, rtol=0, atol=1e-7)


def test_behind_a_layer_the_units_are_beta_and_gamma() -> None:
    """What the layer was trained on is written into what is left of it."""
    units = TapUnits.of(LAYER, "output", None)

    assert (units.center.tolist(), units.scale.tolist()) == ([1.0, 0.0, -3.0], [2.0, -0.5, 1.0])


def test_before_a_layer_the_units_are_mean_and_deviation() -> None:
    """The deviation is that of variance and eps."""
    units = TapUnits.of(LAYER, "input", None)

    assert (units.center.tolist(), units.scale.tolist()) == ([5.0, -2.0, 0.0], [2.0, 3.0, 1.0])


def test_a_map_moves_the_units_along() -> None:
    """A tap that holds ``-2 y + 7`` has its center and its scale mapped."""
    units = TapUnits.of(LAYER, "output", TapMap(np.full(CHANNELS, -2.0), np.full(CHANNELS, 7.0)))

    assert (units.center.tolist(), units.scale.tolist()) == ([5.0, 7.0, 13.0], [-4.0, 1.0, -2.0])


def test_an_output_without_gamma_tells_nothing() -> None:
    """Where gamma is near 0 the output is beta, whatever the layer took."""
    gamma = np.array([0.0, 0.9 * UNOBSERVABLE_BELOW, -UNOBSERVABLE_BELOW])

    units = TapUnits.of(replace(LAYER, gamma=gamma), "output", None)

    assert np.isnan(units.scale).tolist() == [True, True, False]


def test_an_input_tells_of_every_channel() -> None:
    """In front of the layer gamma hides nothing."""
    units = TapUnits.of(replace(LAYER, gamma=np.zeros(CHANNELS)), "input", None)

    assert np.isfinite(units.scale).all()


@pytest.mark.parametrize("side", SIDES)
def test_a_channel_that_a_later_layer_hides_tells_nothing(side: Side) -> None:
    """A map of scale 0 holds its shift alone."""
    units = TapUnits.of(LAYER, side, TapMap(np.array([1.0, 0.0, 2.0]), np.zeros(CHANNELS)))

    assert np.isnan(units.scale).tolist() == [False, True, False]
