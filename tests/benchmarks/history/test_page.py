from collections import Counter

from benchmarks.history.kill import Result
from benchmarks.history.page import page

WELL = Result("SQLite 3", 50, Counter({"two writers were killed": 25}), 700, 700, 1200, 1300, 0, 900, [])
ILL = Result("PostgreSQL 15", 50, Counter(), 700, 699, 1200, 1199, 1, 900, ["round 3: 1 windows are missing"])


def test_the_page_says_how_it_was_made_and_what_came_of_it() -> None:
    lines = page("python -m benchmarks.history kill", [WELL]).splitlines()

    assert "    python -m benchmarks.history kill" in lines
    assert "| windows reported as stored | 1,200 |" in lines
    assert "- SQLite 3: two writers were killed 25 times." in lines


def test_the_page_names_every_problem() -> None:
    lines = page("python -m benchmarks.history kill", [WELL, ILL]).splitlines()

    assert "| of these missing | 0 | 1 |" in lines
    assert "- **PostgreSQL 15, round 3: 1 windows are missing**" in lines
