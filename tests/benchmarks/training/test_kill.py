import random
from signal import SIGKILL, SIGTERM

from benchmarks.training.kill import MAX_KILLS, Result, kill
from benchmarks.training.kill_page import page

JOB = "a convolution and Dropout"


def test_a_job_that_is_killed_in_its_fit_publishes_what_one_does_that_is_not() -> None:
    seed = next(seed for seed in range(100) if random.Random(seed).randint(1, MAX_KILLS) == 2)  # noqa: S311

    result = kill(JOB, 1, print, changes=("epochs=6",), moments=("step",), seed=seed)

    assert result.problems == []
    assert result.files >= 8  # a bundle's, and what its manifest says
    assert (result.rounds, result.steps) == (1, 6 * 18)
    assert 1 <= result.kills.total() <= 2


def test_the_page_says_what_came_of_it() -> None:
    result = Result(JOB, steps=36, fit_s=1.0, rounds=2, resumed=3, files=20)
    result.kills.update({f"{SIGKILL.name} in the fit": 2, f"{SIGTERM.name} after the fit": 1})
    result.problems = ["round 2: parameters.npz is another"]

    text = page("the command", [result])

    assert "| kills | 3 |" in text
    assert f"- {JOB}: SIGKILL in the fit 2 times, SIGTERM after the fit 1 times." in text
    assert f"- **{JOB}, round 2: parameters.npz is another**" in text
