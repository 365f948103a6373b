from dataclasses import replace

import numpy as np
import pytest

from models.health import health_flags
from models.layers import NormalizationLayer
from models.moments import Array
from models.moving_average import MovingAverage

CHANNELS = 8

HEALTHY = NormalizationLayer(
    name="norm",
    eps=1e-5,
    gamma=np.linspace(0.5, 1.5, CHANNELS),
    beta=np.linspace(-1, 1, CHANNELS),
    mean=np.linspace(-3, 3, CHANNELS),
    variance=np.linspace(0.5, 2, CHANNELS),
)


def first(value: float, rest: Array) -> Array:
    """An array with its first channel replaced."""
    return np.concatenate([[value], rest[1:]])


UNTOUCHED = replace(HEALTHY, mean=np.zeros(CHANNELS), variance=np.ones(CHANNELS))
DEAD = replace(HEALTHY, gamma=first(0.0, HEALTHY.gamma))
# without a small gamma its scale would stand out too
COLLAPSED = replace(HEALTHY, gamma=first(0.01, HEALTHY.gamma), variance=first(1e-6, HEALTHY.variance))
EXPLODED = replace(HEALTHY, variance=first(2e6, HEALTHY.variance))
OUTLIER = replace(HEALTHY, gamma=first(-500.0, HEALTHY.gamma))


@pytest.mark.parametrize("num_batches_tracked", [None, 1, 10_000])
def test_a_healthy_layer_has_no_flag(num_batches_tracked: int | None) -> None:
    layer = HEALTHY

    flags = health_flags(layer, num_batches_tracked=num_batches_tracked)

    assert flags == []


@pytest.mark.parametrize(
    ("layer", "num_batches_tracked", "flag", "channels", "message"),
    [
        pytest.param(
            DEAD,
            10,
            "dead-channels",
            1,
            "1 of 8 channels have |gamma| below 0.001: their output hardly depends on their input.",
            id="dead",
        ),
        pytest.param(
            COLLAPSED,
            10,
            "collapsed-variance",
            1,
            "1 of 8 channels have a variance below eps (1e-05): their input hardly varied in training.",
            id="collapsed",
        ),
        pytest.param(
            EXPLODED,
            10,
            "exploded-variance",
            1,
            "1 of 8 channels have a variance above 1e+06, at most 2e+06.",
            id="exploded",
        ),
        pytest.param(
            UNTOUCHED,
            None,
            "never-updated",
            8,
            "The statistics were never updated: they are what a new layer starts with, not what data left.",
            id="as new",
        ),
        pytest.param(
            HEALTHY,
            0,
            "never-updated",
            8,
            "The statistics were never updated: they are what a new layer starts with, not what data left.",
            id="counted no batch",
        ),
        pytest.param(
            OUTLIER,
            10,
            "scale-outliers",
            1,
            "1 of 8 channels scale by more than 100 times the median (707 against 0.944): "
            "per-tensor quantization would lose the others.",
            id="outlier",
        ),
    ],
)
def test_each_flag_is_raised_alone_and_with_its_figures(
    layer: NormalizationLayer, num_batches_tracked: int | None, flag: str, channels: int, message: str
) -> None:
    expected = (flag, channels, message)

    flags = health_flags(layer, num_batches_tracked=num_batches_tracked)

    assert [(found.flag, found.channels, found.message) for found in flags] == [expected]


@pytest.mark.parametrize(
    "layer",
    [
        pytest.param(replace(HEALTHY, gamma=first(-1e-3, HEALTHY.gamma)), id="gamma at the threshold"),
        pytest.param(
            replace(HEALTHY, gamma=first(0.01, HEALTHY.gamma), variance=first(1e-5, HEALTHY.variance)),
            id="variance is eps",
        ),
        pytest.param(replace(HEALTHY, variance=first(1e6, HEALTHY.variance)), id="variance at the threshold"),
        pytest.param(replace(UNTOUCHED, mean=first(1e-9, UNTOUCHED.mean)), id="one mean moved"),
        pytest.param(replace(UNTOUCHED, variance=first(1.0001, UNTOUCHED.variance)), id="one variance moved"),
        pytest.param(
            NormalizationLayer("norm", 0.0, first(100.0, np.ones(8)), np.zeros(8), np.ones(8), np.ones(8)),
            id="a scale of 100 medians",
        ),
    ],
)
def test_a_layer_at_a_threshold_is_healthy(layer: NormalizationLayer) -> None:
    tracked = 10

    flags = health_flags(layer, num_batches_tracked=tracked)

    assert flags == []


def test_a_layer_whose_every_channel_is_dead_has_no_scale_to_stand_out_from() -> None:
    layer = replace(HEALTHY, gamma=np.zeros(CHANNELS))

    flags = health_flags(layer, num_batches_tracked=10)

    assert [(found.flag, found.channels) for found in flags] == [("dead-channels", CHANNELS)]


def test_everything_wrong_is_found_at_once() -> None:
    layer = replace(
        HEALTHY,
        gamma=np.array([0.0, 0.01, 1, 500, 1, 1, 1, 1]),
        variance=np.array([1, 1e-6, 2e6, 1, 1, 1, 1, 1]),
    )

    flags = health_flags(layer, num_batches_tracked=0)

    assert [found.flag for found in flags] == [
        "dead-channels",
        "collapsed-variance",
        "exploded-variance",
        "never-updated",
        "scale-outliers",
    ]


def left(*, shift: float = 0.0, factor: float = 1.0) -> MovingAverage:
    """What a fit left in the healthy layer: its first channel so many deviations, and by a factor, off."""
    variance = first(factor * (HEALTHY.variance[0] + HEALTHY.eps) - HEALTHY.eps, HEALTHY.variance)
    return MovingAverage(first(HEALTHY.mean[0] + shift * HEALTHY.deviation[0], HEALTHY.mean), variance)


@pytest.mark.parametrize(
    ("average", "figures"),
    [
        pytest.param(left(shift=-0.75), "means by up to 0.75 deviations, variances by a factor of up to 1", id="mean"),
        pytest.param(left(factor=3), "means by up to 0 deviations, variances by a factor of up to 3", id="wider"),
        pytest.param(left(factor=0.25), "means by up to 0 deviations, variances by a factor of up to 4", id="narrower"),
    ],
)
def test_a_moving_average_that_is_far_off_is_told_with_its_figures(average: MovingAverage, figures: str) -> None:
    (flag,) = health_flags(HEALTHY, num_batches_tracked=10, moving_average=average)

    assert (flag.flag, flag.channels) == ("stale-moving-average", 1)
    assert flag.message == (
        f"1 of 8 channels had a moving average far from the statistics of all rows: {figures}. "
        "Validation during the fit ran by it."
    )


@pytest.mark.parametrize(
    "average",
    [None, left(), left(shift=0.49, factor=1.99), left(shift=-0.49, factor=0.51)],
    ids=["unknown", "equal", "within", "within, to the other side"],
)
def test_a_moving_average_that_is_near_is_healthy(average: MovingAverage | None) -> None:
    flags = health_flags(HEALTHY, num_batches_tracked=10, moving_average=average)

    assert flags == []
