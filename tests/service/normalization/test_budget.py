import pytest

from models.bundle import Bundle
from service.inference.engine import Engine
from service.normalization.budget import observed_overhead, share_for
from tests.service.normalization.watching import DEVICE, judge_of, observing_engine


@pytest.mark.parametrize(
    ("budget", "overhead", "share"),
    [(0.02, 0.2, 0.1), (0.02, 0.02, 1.0), (0.02, 0.01, 1.0), (0.02, -0.05, 1.0), (0.02, 4.0, 0.005), (0.0, 0.5, 0.0)],
)
def test_the_share_is_what_the_budget_pays_for(budget: float, overhead: float, share: float) -> None:
    """If a run that is observed takes 20 % longer, one in ten makes all of them 2 % longer."""
    found = share_for(budget, overhead)

    assert found == pytest.approx(share)


def test_what_observing_costs_is_measured(bundle: Bundle) -> None:
    """Of a network of three channels the nodes that observe take longer than all others do."""
    plain, sample = Engine(bundle.model_path, DEVICE, threads=1), bundle.sample()
    columns = judge_of(bundle).columns

    overhead = observed_overhead(
        plain, observing_engine(bundle), columns, sample.inputs, list(sample.outputs), sizes=[1, 64]
    )

    assert overhead > 0.1


def test_the_most_expensive_size_counts(bundle: Bundle) -> None:
    """Whichever size runs have, the budget is kept; adding up costs by the row, so many rows cost most here."""
    plain, sample = Engine(bundle.model_path, DEVICE, threads=1), bundle.sample()
    columns, outputs = judge_of(bundle).columns, list(sample.outputs)

    def overhead(*sizes: int) -> float:
        return observed_overhead(plain, observing_engine(bundle), columns, sample.inputs, outputs, sizes=sizes)

    one, many = overhead(1), overhead(1, 512)

    assert many > one
