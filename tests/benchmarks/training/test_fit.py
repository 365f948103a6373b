from pathlib import Path

import pytest

from benchmarks.folding.results import Environment, Line, Results
from benchmarks.folding.timing import Ratio
from benchmarks.training.__main__ import main
from benchmarks.training.cases import CASES
from benchmarks.training.fit import FIT, FitTimed
from benchmarks.training.hand_written import fit_by_hand
from tests.training.blobs import network, recipe, splits
from tests.training.lightning_runs import same
from training.fit import fit


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_the_loop_that_is_written_by_hand_does_what_a_fit_does(optimizer: str) -> None:
    one, other = network(), network()
    what = recipe(optimizer=optimizer, weight_decay=0.1, seed=3)

    figures = fit(one, splits(), what)
    *_, last = fit_by_hand(other, splits(), what)

    assert same(one, other)
    measured = (figures.train_loss, figures.validation_loss, figures.validation_accuracy)
    assert measured == pytest.approx(last, rel=1e-5)  # means of batches, and of rows, in float32


def test_the_cases_are_those_with_a_bar_and_one_where_the_trainer_shows_most() -> None:
    bars = {case.name: case.at_least for case in CASES}

    assert bars == {"digits": 0.8, "digits-mlp": None, "mnist-sized": 0.95, "resnet18": 0.95}


def test_a_fit_that_is_slower_than_its_bar_is_told() -> None:
    slow, fast = _timed("mnist-sized", 0.94), _timed("resnet18", 0.96)

    failures = FIT.failures([slow, fast])

    assert failures == ["mnist-sized: expected at least 0.95 of the hand-written loop, got 0.940 (0.930 to 0.950)"]


def test_a_fit_that_ends_elsewhere_is_told() -> None:
    other = _timed("resnet18", 0.99).model_copy(update={"same_loss": False})

    assert FIT.failures([other]) == ["resnet18: expected the loss of the hand-written loop"]


def test_the_page_has_a_line_a_case(tmp_path: Path) -> None:
    kept, page = tmp_path / "training.jsonl", tmp_path / "training.md"
    record = _timed("digits", 0.9).model_dump()
    Results(kept).add(Line(command="fit", case="digits", environment=Environment.current(), record=record))

    status = main(["page", "--results", str(kept), "--output", str(page)])

    assert status == 0
    assert "    python -m benchmarks.training fit\n" in page.read_text()
    assert "| digits | 5,000 | 6.40 | 0.900 (0.890 to 0.910) |" in page.read_text()


def _timed(name: str, ratio: float) -> FitTimed:
    of = Ratio(median=ratio, lower=ratio - 0.01, upper=ratio + 0.01)
    return FitTimed(
        name=name,
        what="a fit",
        at_least=next(case.at_least for case in CASES if case.name == name),
        threads=1,
        device="CPU",
        rows_per_s=5000.0,
        batch_rows=32,
        ratio=of,
        processor_ratio=of,
        same_loss=True,
    )
