import numpy as np

from models.bundle import Bundle
from service.normalization.sight import Sight
from tests.service.normalization.watching import sight_of
from tests.service.observing import normal_rows


def test_nothing_has_no_rows_and_no_times() -> None:
    """There is no first row, so it came at no time."""
    sight = Sight.nothing(3)

    found = (sight.rows, sight.not_finite, sight.since, sight.until)

    assert found == (0, 0, None, None)


def test_two_sights_merge_into_that_of_all_rows(bundle: Bundle) -> None:
    """Moments merge exactly, times span both."""
    x = normal_rows(50)
    one, other = sight_of(bundle, x[:20], since=5.0, until=7.0), sight_of(bundle, x[20:], since=3.0, until=6.0)

    merged = one.merge(other)

    whole = sight_of(bundle, x)
    assert (merged.rows, merged.since, merged.until) == (50, 3.0, 7.0)
    # the sums of float64 are taken in another order, and the graph rounds rows of another batch to float32 anew
    np.testing.assert_allclose(merged.moments.mean, whole.moments.mean, rtol=0, atol=1e-6)
    np.testing.assert_allclose(merged.moments.m2, whole.moments.m2, rtol=1e-6)


def test_nothing_changes_nothing(bundle: Bundle) -> None:
    """On either side."""
    sight, nothing = sight_of(bundle, normal_rows(5)), Sight.nothing(3)

    merged = [sight.merge(nothing), nothing.merge(sight)]

    for one in merged:
        assert (one.rows, one.since, one.until) == (5, sight.since, sight.until)
        np.testing.assert_array_equal(one.moments.mean, sight.moments.mean)


def test_rows_that_are_left_out_are_counted_apart(bundle: Bundle) -> None:
    """They have no figures, but they came."""
    x = normal_rows(4)
    x[1, 0] = np.nan

    merged = sight_of(bundle, x).merge(sight_of(bundle, x))

    assert (merged.rows, merged.not_finite) == (6, 2)
