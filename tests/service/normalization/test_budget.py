import pytest

from service.normalization.budget import MOST, Budget, share_for
from service.normalization.overhead import MeasuredOverhead, Overhead


@pytest.mark.parametrize(
    ("budget", "overhead", "share"),
    [(0.02, 0.2, 0.1), (0.02, 0.02, 1.0), (0.02, 0.01, 1.0), (0.02, -0.05, 1.0), (0.02, 4.0, 0.005), (0.0, 0.5, 0.0)],
)
def test_the_share_is_what_the_budget_pays_for(budget: float, overhead: float, share: float) -> None:
    """If a run that is observed takes 20 % longer, one in ten makes all of them 2 % longer."""
    found = share_for(budget, overhead)

    assert found == pytest.approx(share)


def test_the_share_follows_what_is_learned() -> None:
    """Runs that take twice as long as was measured are observed half as often."""
    budget = Budget(0.02, Overhead(MeasuredOverhead(0.2, adding_s=0.0)))
    before = budget.share

    for _ in range(2000):
        budget.overhead.ran(1, 0.001)
        budget.overhead.ran_observed(1, 0.0014, added=1)

    assert (before, budget.share) == pytest.approx((0.1, 0.05), rel=0.01)


def test_some_runs_are_left_to_compare_with() -> None:
    """Else what runs cost could not be learned, once it was taken for nothing."""
    assert Budget(0.02, Overhead(MeasuredOverhead(0.0, adding_s=0.0))).share == MOST
