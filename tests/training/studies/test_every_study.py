import re
import shutil
from pathlib import Path

import pytest

from training.__main__ import main
from training.studies import STUDIES
from training.studies.results import read_results
from training.studies.study import write_page

COMMITTED = Path(__file__).parents[3] / "docs" / "studies"
SMALL = ("--steps", "4", "--seeds", "2")


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_measures_digits_and_writes_its_page_its_plots_and_its_results(name: str, tmp_path: Path) -> None:
    code = main(["study", name, *SMALL, "--output", str(tmp_path)])

    page = (tmp_path / f"{name}.md").read_text()
    linked = set(re.findall(r"\]\(([^:)]+\.(?:svg|jsonl))\)", page))
    results = read_results(tmp_path / f"{name}.jsonl")
    assert code == 0
    assert {path.name for path in tmp_path.iterdir()} == linked | {f"{name}.md"}
    assert len(linked) >= 2
    assert f"    bntrain study {name} --data digits --steps 4 --seeds 2 --output OUTPUT\n" in page
    assert {outcome.seed for outcome in results.outcomes} == {0, 1}
    assert all(outcome.cpu_seconds > 0 for outcome in results.outcomes)


@pytest.mark.parametrize("name", STUDIES)
def test_the_committed_page_is_what_the_committed_results_give(name: str, tmp_path: Path) -> None:
    shutil.copy(COMMITTED / f"{name}.jsonl", tmp_path)

    page = write_page(STUDIES[name], tmp_path)

    assert page.read_text() == (COMMITTED / page.name).read_text()
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in COMMITTED.glob(f"{name}*")}


@pytest.mark.parametrize("name", STUDIES)
def test_a_committed_run_is_of_mnist_with_several_seeds_as_the_study_says(name: str) -> None:
    run = read_results(COMMITTED / f"{name}.jsonl").run

    assert (run.data, run.train_rows, run.test_rows) == ("MNIST", 60_000, 10_000)
    assert (run.steps, run.seeds) == (STUDIES[name].steps, STUDIES[name].seeds)
    assert run.seeds >= 3
