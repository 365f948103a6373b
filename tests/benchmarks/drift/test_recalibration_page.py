from __future__ import annotations

from collections.abc import Mapping

from benchmarks.drift.recalibration import COMMAND, SETTINGS, CaseRecord, Outcome
from benchmarks.drift.recalibration_page import page
from benchmarks.folding.results import Environment, Line, Results


def record(corruption: str, level: int, before: float, after: float, refused: str | None = None) -> CaseRecord:
    """What takes an accuracy of 0.9 to ``before``, and recalibration to ``after``, whatever the setting."""
    outcomes = tuple(
        Outcome(rows=rows, prior_rows=prior, accuracy=after, refused=refused, seconds=1.0) for rows, prior in SETTINGS
    )
    return CaseRecord(
        corruption=corruption, level=level, scored_rows=2_000, clean=0.9, before=before, outcomes=outcomes
    )


def results(records: Mapping[str, CaseRecord]) -> Results:
    found = Results(None)
    for case, measured in records.items():
        found.add(Line(command=COMMAND, case=case, environment=Environment.current(), record=measured.model_dump()))
    return found


def test_the_share_that_came_back_is_of_what_was_lost() -> None:
    """From 90 % to 50 % and back to 80 % is three quarters."""
    text, missed = page(results({"noise/3": record("noise", 3, 0.5, 0.8)}))

    row = next(line for line in text.splitlines() if line.startswith("| noise 3"))
    assert row.split(" | ")[1:3] == ["90.0", "50.0"]
    assert row.endswith("| 80.0 | 75% |")
    assert missed == []


def test_shares_are_averaged_in_both_ways() -> None:
    """Corruptions that take little count as much as others in one, and as little as they take in the other."""
    text, _ = page(results({"noise/3": record("noise", 3, 0.5, 0.9), "rotation/3": record("rotation", 3, 0.8, 0.8)}))

    assert "rows 50% of the lost accuracy comes back" in text
    assert "Of all that they take together, 80%" in text


def test_what_took_next_to_nothing_has_no_share() -> None:
    """It would be noise over noise; it is told with its accuracies."""
    text, _ = page(results({"noise/3": record("noise", 3, 0.5, 0.8), "noise/1": record("noise", 1, 0.899, 0.88)}))

    row = next(line for line in text.splitlines() if line.startswith("| noise 1"))
    assert row.endswith("| 88.0 |  |")
    assert "the mean over the 1 corruptions" in text


def test_rows_of_few_classes_do_not_count_in_the_answer() -> None:
    """They are there to show harm, and have a table of their own."""
    few = record("none", 0, 0.9, 0.6).model_copy(update={"classes": 2})

    text, missed = page(results({"noise/3": record("noise", 3, 0.5, 0.8), few.corruption: few}))

    assert "the mean over the 1 corruptions" in text
    assert any(
        line.startswith("| not corrupted, rows of 2 classes | 90.0 | 90.0 | 60.0 |") for line in text.splitlines()
    )
    assert missed == []


def test_too_little_that_came_back_misses_the_bar() -> None:
    """The command says so, and ends with 1."""
    _, missed = page(results({"noise/3": record("noise", 3, 0.5, 0.6, refused="rows: expected others")}))

    assert [sentence.partition(",")[0] for sentence in missed] == [
        "recalibration: expected at least 50% of the lost accuracy to be recovered"
    ] * 2
