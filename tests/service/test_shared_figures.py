import subprocess
import sys
from pathlib import Path

from service.figures import VersionFigures
from service.inference.job import Outcome
from service.shared_figures import SharedFigures

TINY = ("tiny", "1")


def answered(times: int, *, waiting: int = 0) -> VersionFigures:
    figures = VersionFigures(waiting=waiting)
    for _ in range(times):
        figures.answered(rows=3, seconds=0.01, outcome=Outcome([], 0.001, 0.002))
    return figures


def in_another_process(folder: Path, *, requests: int, waiting: int) -> None:
    """Let a worker of its own show figures, and end."""
    code = (
        "import sys; from pathlib import Path; from service.shared_figures import SharedFigures;"
        "from tests.service.test_shared_figures import TINY, answered;"
        f"SharedFigures(Path(sys.argv[1])).show({{TINY: answered({requests}, waiting={waiting})}})"
    )
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True, timeout=300)


def test_nothing_was_done_before_anyone_shows_it(tmp_path: Path) -> None:
    shared = SharedFigures(tmp_path)

    total = shared.total()

    assert total == {}


def test_what_a_worker_shows_last_counts(tmp_path: Path) -> None:
    shared = SharedFigures(tmp_path)

    shared.show({TINY: answered(1)})
    shared.show({TINY: answered(3, waiting=2)})

    assert shared.total() == {TINY: answered(3, waiting=2)}


def test_the_figures_of_all_workers_add_up(tmp_path: Path) -> None:
    shared = SharedFigures(tmp_path)
    shared.show({TINY: answered(1), ("other", "2"): answered(2)})

    in_another_process(tmp_path, requests=4, waiting=0)

    total = shared.total()
    assert total[TINY].requests == {200: 5}
    assert total[TINY].rows == 15
    assert total[TINY].request_seconds.count == 5
    assert total["other", "2"].requests == {200: 2}


def test_what_a_worker_did_that_has_ended_counts_but_nothing_waits_for_it(tmp_path: Path) -> None:
    shared = SharedFigures(tmp_path)

    in_another_process(tmp_path, requests=4, waiting=7)

    assert shared.total()[TINY].requests == {200: 4}
    assert shared.total()[TINY].waiting == 0
