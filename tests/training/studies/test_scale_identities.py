import pytest
import torch

from tests.training.examples import normal_rows
from training.studies.scale_identities import Case, expected_departure, measure_departures

CASE = Case(
    rows=normal_rows(60, 30, seed=1).double(),
    weight=normal_rows(20, 30, seed=2).double() / 30**0.5,
    cotangent=normal_rows(60, 20, seed=3).double(),
)
NEARLY_NONE = 1e-300


@pytest.mark.parametrize("scale", [1e-20, 1e-3, 0.3, 7.0, 1e10, 1e40])
def test_without_eps_the_identities_hold_in_float64_to_its_rounding(scale: float) -> None:
    departures = measure_departures(CASE, scale, eps=NEARLY_NONE, dtype=torch.float64)

    # 30 products a sum and 60 rows a statistic, each rounded by 1.1e-16
    assert max(departures.output, departures.input_gradient, departures.weight_gradient) < 2e-15


@pytest.mark.parametrize("scale", [1e-10, 1e-3, 7.0, 1e10])
def test_without_eps_they_hold_in_float32_to_its_rounding(scale: float) -> None:
    departures = measure_departures(CASE, scale, eps=NEARLY_NONE, dtype=torch.float32)

    assert max(departures.output, departures.input_gradient, departures.weight_gradient) < 1e-6
    assert departures.output > 1e-9


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1e-2, 0.1, 1.0, 10.0])
def test_eps_departs_from_them_by_its_share_of_the_variance(scale: float) -> None:
    """A demand's own norm weighs its channels alike: each has variance 1, so root mean squares are exact."""
    departures = measure_departures(CASE, scale, eps=1e-5, dtype=torch.float64)

    assert departures.output == pytest.approx(expected_departure(CASE, scale, eps=1e-5), rel=1e-6)


def test_eps_leaves_nothing_of_the_output_at_scales_far_below_it() -> None:
    departures = measure_departures(CASE, 1e-8, eps=1e-5, dtype=torch.float64)

    assert departures.output == pytest.approx(1, abs=1e-4)


def test_scales_that_a_type_cannot_hold_are_told_by_what_is_not_finite() -> None:
    departures = measure_departures(CASE, 1e40, eps=1e-5, dtype=torch.float32)

    assert not departures.output < float("inf")
