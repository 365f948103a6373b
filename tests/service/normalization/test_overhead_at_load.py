from models.bundle import Bundle
from service.inference.engine import Engine
from service.normalization.overhead_at_load import measure_overhead
from tests.service.normalization.watching import DEVICE, judge_of, observing_engine


def test_what_observing_costs_is_measured(bundle: Bundle) -> None:
    """Of a network of three channels the nodes that observe take longer than all others do."""
    plain, sample = Engine(bundle.model_path, DEVICE, threads=1), bundle.sample()
    columns = judge_of(bundle).columns

    measured = measure_overhead(
        plain, observing_engine(bundle), columns, sample.inputs, list(sample.outputs), sizes=[1, 64]
    )

    assert measured.share > 0.1
    assert measured.adding_s > 0


def test_the_most_expensive_size_counts(bundle: Bundle) -> None:
    """Whichever size runs have, the budget is kept; adding up costs by the row, so many rows cost most here."""
    plain, sample = Engine(bundle.model_path, DEVICE, threads=1), bundle.sample()
    columns, outputs = judge_of(bundle).columns, list(sample.outputs)

    def overhead(*sizes: int) -> float:
        return measure_overhead(plain, observing_engine(bundle), columns, sample.inputs, outputs, sizes=sizes).share

    one, many = overhead(1), overhead(1, 512)

    assert many > one
