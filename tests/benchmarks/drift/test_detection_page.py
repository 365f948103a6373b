from __future__ import annotations

from benchmarks.drift.detection import COMMAND, UNMOVED, AlarmRecord
from benchmarks.drift.detection_page import page
from benchmarks.folding.results import Environment, Line, Results


def results(*records: AlarmRecord) -> Results:
    found = Results(None)
    for record in records:
        case = f"{record.detector}: {record.data}"
        found.add(Line(command=COMMAND, case=case, environment=Environment.current(), record=record.model_dump()))
    return found


def alarms(detector: str, data: str, *rates: float) -> AlarmRecord:
    return AlarmRecord(detector=detector, data=data, windows=200, rates=dict(zip((32, 128, 512), rates, strict=True)))


def test_each_size_of_window_has_a_table_with_a_column_a_detector() -> None:
    """What was not measured yet is an empty cell."""
    found = results(
        alarms("MMD inputs", UNMOVED, 0.05, 0.06, 0.07),
        alarms("KS inputs", UNMOVED, 0.04, 0.05, 0.03),
        alarms("KS inputs", "Fashion-MNIST", 1, 1, 1),
    )

    lines = page(found).splitlines()

    assert "| alarms, % | KS inputs | MMD inputs |" in lines
    assert [line for line in lines if line.startswith("| not moved")] == [
        "| not moved | 4.0 | 5.0 |",
        "| not moved | 5.0 | 6.0 |",
        "| not moved | 3.0 | 7.0 |",
    ]
    assert "| Fashion-MNIST | 100.0 |  |" in lines


def test_averages_are_of_corruptions_alone() -> None:
    """What has not moved, and what is other data, is not among them."""
    found = results(
        alarms("KS inputs", UNMOVED, 0, 0, 0),
        alarms("KS inputs", "noise 1 (0.02)", 0.1, 0.2, 0.3),
        alarms("KS inputs", "noise 5 (0.4)", 1, 1, 1),
        alarms("KS inputs", "Fashion-MNIST", 1, 1, 1),
    )

    lines = page(found).splitlines()

    assert "| noise | 60.0 |" in lines
    assert "| **all corruptions** | 60.0 |" in lines
    assert "| the mildest of each | 20.0 |" in lines
